"""Stages that run nothing and write outs that a benchmark or a record of it reads."""

import json
from pathlib import Path

EXACT_MATCH = 0.3333  # what the answers come to
_REFERENCE = "request(specifier[best])"
_ROWS = {"validation": 714, "test": 1083}
_SETS = ("lower_case", "no_punctuation", "typing_slips", "unseen_names")
_MACHINE = {"processor": "a CPU", "cores": 2, "gpus": ["a GPU"], "versions": {"torch": "2.13"}}


def fake_run(folder: Path, stage: str, split: str, seconds: float) -> None:
    """Write what `stage` would to `folder`: a third of the answers is right."""
    if stage == "fetch":
        _write(folder / "data/raw/train.jsonl", "")
    elif stage == "tokenize":
        _write(folder / "metrics/tokens.json", "{}")
    elif stage == "train":
        _write(folder / "models/adapter/adapter_config.json", "{}")
        _write(folder / "plots/loss.csv", "step\n")
        _write(folder / "metrics/model.json", "{}")
    elif stage == "predict-robustness":
        for name in _SETS:
            _predictions(folder / f"predictions/robustness/{name}.jsonl", 6)
    elif stage == "score":
        for name in ("base", "tuned"):
            _write(folder / f"metrics/{name}.json", json.dumps({"exact_match": EXACT_MATCH}))
        _write(
            folder / "metrics/robustness.json",
            json.dumps({one: {"exact_match": EXACT_MATCH} for one in _SETS}),
        )
        _write(folder / "metrics/comparison.json", "{}")
    else:
        _predictions(folder / f"predictions/{stage.removeprefix('predict-')}.jsonl", _ROWS[split])
    _write(folder / f"runs/{stage}.json", json.dumps({"seconds": seconds, "machine": _MACHINE}))


def _predictions(path: Path, rows: int) -> None:
    lines = (
        {
            "id": str(i),
            "sentence": "Which?",
            "reference": _REFERENCE,
            "prediction": _REFERENCE if i % 3 == 0 else "",
        }
        for i in range(rows)
    )
    _write(path, "".join(json.dumps(line) + "\n" for line in lines))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
