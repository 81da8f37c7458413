import subprocess
import sys
from pathlib import Path

import evaluate
import pytest

from viggo_pipe.errors import InputError
from viggo_pipe.scoring import judge
from viggo_pipe.settings.score import ScoreSettings
from viggo_pipe.tally import Tally
from viggo_pipe.viggo_metric import ViggoMetric

SETTINGS = ScoreSettings(bootstrap_resamples=500, bootstrap_seed=0)
COLUMNS = {
    "sentences": ["Doom is good", "Doom?", "Is it?"],
    "references": ["inform(name[Doom], rating[good])", "confirm(name[Doom])", "request(specifier[it])"],
    "predictions": ["inform(name[Doom], rating[good])", "inform(name[Quake])", ""],
}


@pytest.fixture
def metric():
    return ViggoMetric(SETTINGS)


def test_it_is_an_evaluate_metric_with_string_inputs(metric):
    assert isinstance(metric, evaluate.Metric)
    assert set(metric.features) == set(COLUMNS)
    assert "sentences" in metric.compute.__doc__


def test_one_by_one_in_batches_and_at_once_are_the_same(metric):
    tally = Tally()
    for sentence, reference, prediction in zip(*COLUMNS.values(), strict=True):
        tally.add(judge(sentence, reference, prediction))
        metric.add(sentences=sentence, reference=reference, prediction=prediction)
    expected = tally.metrics(SETTINGS)
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
    combined = evaluate.combine([metric, ViggoMetric(SETTINGS)], force_prefix=True)
    scores = combined.compute(**COLUMNS)
    assert scores["viggo_metric_0_exact_match"] == scores["viggo_metric_1_exact_match"] == round(1 / 3, 4)


def run(code: str, **environment: str) -> str:
    """Run `code` in a fresh process, without a network."""
    source = Path(__file__).parents[1] / "src"
    environment = {"PYTHONPATH": str(source), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_it_leaves_no_file_behind(tmp_path):
    code = f"""
from viggo_pipe.settings.score import ScoreSettings
from viggo_pipe.viggo_metric import ViggoMetric
metric = ViggoMetric(ScoreSettings(bootstrap_resamples=10, bootstrap_seed=0))
metric.add_batch(**{COLUMNS})
print(metric.compute()["examples"])
"""
    assert run(code, HOME=str(tmp_path), TMPDIR=str(tmp_path)) == "3\n"
    # torch, which evaluate imports, makes an empty folder for temporary files.
    assert {path.name for path in tmp_path.rglob("*")} <= {"torchinductor_root"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_predictions(tmp_path):
    # Ten times the rows, all distinct; a scorer that kept them would need some 100 MiB more for the 180,000.
    code = """
import resource
from viggo_pipe.settings.score import ScoreSettings
from viggo_pipe.viggo_metric import ViggoMetric

def rows(start, stop):
    for n in range(start, stop):
        reference = f"inform(name[Game {n}], genres[puzzle, shooter], specifier[{'long ' * 10}{n}])"
        prediction = reference.replace("puzzle", "arcade") if n % 3 else reference + ")"
        yield f"Game {n} is a long long puzzle", reference, prediction

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

metric = ViggoMetric(ScoreSettings(bootstrap_resamples=1000, bootstrap_seed=0))
def score(start, stop):
    for sentence, reference, prediction in rows(start, stop):
        metric.add(sentences=sentence, reference=reference, prediction=prediction)

score(0, 20_000)
metric.tally.metrics(ScoreSettings(bootstrap_resamples=1000, bootstrap_seed=0))
before = peak()
score(20_000, 200_000)
print(metric.compute()["examples"], peak() - before)
"""
    examples, growth = map(int, run(code, HOME=str(tmp_path)).split())
    assert examples == 200_000
    assert growth * (1 if sys.platform == "darwin" else 1024) < 8 * 2**20
