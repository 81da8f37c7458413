"""The script stages/score.py, run in a folder of its own."""

import csv
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.stage import run_stage

pytestmark = pytest.mark.slow  # it imports evaluate

STAGE = Path(__file__).parents[2] / "stages/score.py"
ROWS = [
    {"id": "1", "sentence": "Doom?", "reference": "inform(name[Doom])", "prediction": "inform(name[Doom])"},
    {
        "id": "2",
        "sentence": "Quake!",
        "reference": "confirm(name[Quake])",
        "prediction": "inform(name[Quake])",
    },
]
PREDICTIONS = ("base", "tuned", "robustness/typing_slips", "robustness/unseen_names")
METRICS = ("base", "tuned", "robustness", "comparison")
TABLES = ("attributes", "by_dialogue_act", "dialogue_acts")


@pytest.fixture
def score(tmp_path, monkeypatch):
    """Run the stage in a folder that holds predictions of both models and of two robustness sets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predictions/robustness").mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    for name in PREDICTIONS:
        (tmp_path / f"predictions/{name}.jsonl").write_text(lines)
    spec = importlib.util.spec_from_file_location("stage_score", STAGE)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    settings = SimpleNamespace(score=ScoreSettings(bootstrap_resamples=100, bootstrap_seed=0))
    monkeypatch.setattr(script, "load_params", lambda section: settings)
    return lambda: run_stage("score", script.main)


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def written(folder):
    """What the stage wrote: content by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for place in ("metrics", "plots")
        for path in (folder / place).rglob("*.*")
    }


def test_it_writes_metrics_and_plots_of_all_predictions(score, tmp_path, capsys):
    assert score() == 0
    assert set(written(tmp_path)) == {
        *(f"metrics/{name}.json" for name in METRICS),
        *(f"plots/{which}/{table}.csv" for which in ("base", "tuned") for table in TABLES),
    }
    text = (tmp_path / "metrics/tuned.json").read_text()
    metrics = json.loads(text)
    assert list(metrics) == sorted(metrics) and text.endswith("}\n")
    assert (metrics["examples"], metrics["exact_match"], metrics["slot_f1"]) == (2, 0.5, 1.0)
    assert read_csv("plots/tuned/attributes.csv")[0] == {
        "attribute": "name",
        "precision": "1.0",
        "recall": "1.0",
        "f1": "1.0",
        "gold": "2",
        "predicted": "2",
    }
    assert read_csv("plots/tuned/dialogue_acts.csv") == [
        {"actual": "confirm", "predicted": "inform"},
        {"actual": "inform", "predicted": "inform"},
    ]
    acts = [row["dialogue_act"] for row in read_csv("plots/tuned/by_dialogue_act.csv")]
    assert acts == ["inform", "confirm"]
    assert "tuned: exact match 0.5, slot F1 1.0\n" in capsys.readouterr().out


def test_it_scores_each_robustness_set(score, tmp_path):
    assert score() == 0
    robustness = json.loads((tmp_path / "metrics/robustness.json").read_text())
    assert list(robustness) == ["typing_slips", "unseen_names"]
    tuned = json.loads((tmp_path / "metrics/tuned.json").read_text())
    for metrics in robustness.values():
        assert metrics.items() <= tuned.items() and {"examples", "exact_match_low"} <= metrics.keys()


def test_it_compares_both_models(score, tmp_path):
    assert score() == 0
    comparison = json.loads((tmp_path / "metrics/comparison.json").read_text())
    assert list(comparison) == sorted(comparison)
    assert (comparison["examples"], comparison["both_right"], comparison["mcnemar_p"]) == (2, 1, 1.0)


def test_the_same_predictions_give_the_same_bytes(score, tmp_path):
    assert score() == 0
    first = written(tmp_path)
    assert score() == 0
    assert written(tmp_path) == first


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read predictions/{}.jsonl"),
        ("", "predictions/{}.jsonl holds no line"),
        (json.dumps(ROWS[0] | {"reference": "oops"}), "the reference 'oops' is not a meaning representation"),
    ],
)
def test_bad_predictions_end_with_one_line_and_nothing_written(
    score, tmp_path, capsys, name, content, message
):
    path = tmp_path / f"predictions/{name}.jsonl"
    if content is None:
        path.unlink()
        path.mkdir()  # the folder of robustness sets is read as a whole: a set that is gone is none
    else:
        path.write_text(content)
    assert score() == 2
    error = capsys.readouterr().err
    assert error.startswith("score: ") and message.format(name) in error and error.count("\n") == 1
    assert not (tmp_path / "metrics").exists() and not (tmp_path / "plots").exists()


def test_no_robustness_predictions_are_not_taken_for_no_robustness(score, tmp_path, capsys):
    for path in (tmp_path / "predictions/robustness").iterdir():
        path.unlink()
    assert score() == 2
    assert (
        "score: there are no predictions in predictions/robustness; run `dvc repro" in capsys.readouterr().err
    )
    assert not (tmp_path / "metrics").exists()
