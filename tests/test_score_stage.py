"""The scripts stages/score.py and stages/compare.py, run in a folder of their own."""

import csv
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from viggo_pipe.settings.score import ScoreSettings
from viggo_pipe.stage import run_stage

STAGES = Path(__file__).parents[1] / "stages"
ROWS = [
    {"id": "1", "sentence": "Doom?", "reference": "inform(name[Doom])", "prediction": "inform(name[Doom])"},
    {"id": "2", "sentence": "Quake!", "reference": "confirm(name[Quake])", "prediction": "inform(name[Quake])"},
]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a script, with settings of its own, in a folder that holds predictions of both models."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predictions").mkdir()
    for which in ("base", "tuned"):
        (tmp_path / "predictions" / f"{which}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def load_script(name):
        spec = importlib.util.spec_from_file_location(f"stage_{name}", STAGES / f"{name}.py")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        settings = SimpleNamespace(score=ScoreSettings(bootstrap_resamples=100, bootstrap_seed=0))
        monkeypatch.setattr(script, "load_params", lambda section: settings)
        return script

    return load_script


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_score_writes_metrics_and_plots(load, tmp_path, capsys):
    script = load("score")
    assert run_stage("score-tuned", lambda: script.main("tuned")) == 0
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
    assert [row["dialogue_act"] for row in read_csv("plots/tuned/by_dialogue_act.csv")] == ["inform", "confirm"]
    assert "exact_match" in capsys.readouterr().out


def test_the_same_predictions_give_the_same_bytes(load, tmp_path):
    script = load("score")

    def written():
        script.main("base")
        return {path: path.read_bytes() for folder in ("metrics", "plots") for path in (tmp_path / folder).rglob("*.*")}

    first = written()
    assert len(first) == 4
    assert written() == first


def test_compare_writes_its_metrics(load, tmp_path):
    assert run_stage("compare", load("compare").main) == 0
    comparison = json.loads((tmp_path / "metrics/comparison.json").read_text())
    assert list(comparison) == sorted(comparison)
    assert (comparison["examples"], comparison["both_right"], comparison["mcnemar_p"]) == (2, 1, 1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read predictions/tuned.jsonl"),
        ("", "predictions/tuned.jsonl holds no line"),
        (json.dumps(ROWS[0] | {"reference": "oops"}), "the reference 'oops' is not a meaning representation"),
    ],
)
def test_bad_predictions_end_with_one_line_and_nothing_written(load, tmp_path, capsys, content, message):
    path = tmp_path / "predictions" / "tuned.jsonl"
    path.unlink()
    if content is not None:
        path.write_text(content)
    script = load("score")
    assert run_stage("score-tuned", lambda: script.main("tuned")) == 2
    error = capsys.readouterr().err
    assert error.startswith("score-tuned: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "metrics").exists() and not (tmp_path / "plots").exists()
