"""The scorer as an `evaluate.Metric`. To import evaluate takes seconds: tests of scoring do without it."""

import os
import subprocess
import sys

import pytest
from helpers.imports import ROOT

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.metrics import MetricAccumulator
from viggo_pipe.evaluation.scoring import judge

pytestmark = pytest.mark.slow

SETTINGS = ScoreSettings(bootstrap_resamples=500, bootstrap_seed=0)
COLUMNS = {
    "sentences": ["Doom is good", "Doom?", "Is it?"],
    "references": ["inform(name[Doom], rating[good])", "confirm(name[Doom])", "request(specifier[it])"],
    "predictions": ["inform(name[Doom], rating[good])", "inform(name[Quake])", ""],
}


@pytest.fixture
def metric():
    from viggo_pipe.evaluation.viggo_metric import ViggoMetric

    return ViggoMetric(SETTINGS)


def test_it_is_an_evaluate_metric_with_string_inputs(metric):
    import evaluate

    assert isinstance(metric, evaluate.Metric)
    assert set(metric.features) == set(COLUMNS)
    assert "sentences" in metric.compute.__doc__


def test_one_by_one_in_batches_and_at_once_are_the_same(metric):
    counts = MetricAccumulator()
    for sentence, reference, prediction in zip(*COLUMNS.values(), strict=True):
        counts.add(judge(sentence, reference, prediction))
        metric.add(sentences=sentence, reference=reference, prediction=prediction)
    expected = counts.metrics(SETTINGS)
    assert len(metric) == 3
    assert metric.compute() == expected
    metric.add_batch(**{name: column[:1] for name, column in COLUMNS.items()})
    metric.add_batch(**{name: column[1:] for name, column in COLUMNS.items()})
    assert metric.compute() == expected
    assert metric.compute(**COLUMNS) == expected


def test_compute_starts_anew(metric):
    metric.compute(**COLUMNS)
    assert len(metric) == 0
    with pytest.raises(InputError, match="there is no prediction to score"):
        metric.compute()


def test_columns_of_different_lengths_are_refused(metric):
    with pytest.raises(ValueError):
        metric.compute(**COLUMNS | {"predictions": ["one"]})


def test_it_joins_other_metrics(metric):
    import evaluate

    combined = evaluate.combine([metric, type(metric)(SETTINGS)], force_prefix=True)
    scores = combined.compute(**COLUMNS)
    assert scores["viggo_metric_0_exact_match"] == scores["viggo_metric_1_exact_match"] == round(1 / 3, 4)


SCORE_MANY = """
import resource
from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.evaluation.viggo_metric import ViggoMetric

def rows(start, stop):
    for n in range(start, stop):
        reference = f"inform(name[Game {n}], genres[puzzle, shooter], specifier[{'long ' * 40}{n}])"
        prediction = reference.replace("puzzle", "arcade") if n % 3 else reference + ")"
        yield f"Game {n} is a long long puzzle", reference, prediction

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

settings = ScoreSettings(bootstrap_resamples=100, bootstrap_seed=0)
metric = ViggoMetric(settings)
def score(start, stop):
    for sentence, reference, prediction in rows(start, stop):
        metric.add(sentences=sentence, reference=reference, prediction=prediction)

score(0, 5_000)
metric.counts.metrics(settings)
before = peak()
score(5_000, 35_000)
print(metric.compute()["examples"], peak() - before)
"""


def test_it_keeps_neither_predictions_nor_files(tmp_path):
    """In a process of its own, without a network: distinct rows, some 30 MiB to keep them."""
    environment = {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1", "PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-c", SCORE_MANY],
        env=environment | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    examples, growth = map(int, done.stdout.split())
    assert examples == 35_000
    assert growth * (1 if sys.platform == "darwin" else 1024) < 8 * 2**20
    # torch, which evaluate imports, makes an empty folder for temporary files.
    assert {path.name for path in tmp_path.rglob("*")} <= {"torchinductor_root"}
