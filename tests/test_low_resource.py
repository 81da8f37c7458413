"""benchmarks/low_resource.py: a curve over shares of the training rows, by the stages, and its drawing."""

import json

import low_resource
import pytest
import yaml
from imports import ROOT
from tiny_model import write_tiny_mistral

from viggo_pipe.errors import InputError


@pytest.fixture
def params(tmp_path):
    """The file of a tiny profile of 20 training rows."""
    content = yaml.safe_load((ROOT / "profiles/quickstart.yaml").read_text(encoding="utf-8"))
    for section, keys in {
        "dataset": {"sample": {"train": 20, "validation": 4, "test": 6, "seed": 0}},
        "model": {"source": "local", "path": str(tmp_path / "tiny-mistral"), "sha256": None},
        "tokenize": {"max_length": 256},
        "lora": {"r": 4, "upper_layers": 1},
        "generate": {"max_new_tokens": 8, "batch_size": 4},
        "score": {"bootstrap_resamples": 200},
    }.items():
        content[section] |= keys
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path / "tiny.yaml"


@pytest.mark.slow
def test_a_curve_is_measured_and_gone_on_with(params, tmp_path):
    write_tiny_mistral(tmp_path / "tiny-mistral")
    out = tmp_path / "results/curve.json"
    given = ["--params", str(params), "--out", str(out), "--root", str(tmp_path / "runs")]
    low_resource.main([*given, "--shares", "0.25"])
    (first,) = json.loads(out.read_text())["runs"]
    low_resource.main([*given, "--shares", "1", "0.25"])
    runs = json.loads(out.read_text())["runs"]
    assert runs[0] == first, "the share that had been measured was not taken as it was"
    assert [(run["share"], run["rows"], run["variants"], run["examples"]) for run in runs] == [(0.25, 5, 4, 4), (1.0, 20, 1, 4)]
    assert all(0 <= run["exact_match_low"] <= run["exact_match"] <= run["exact_match_high"] <= 1 for run in runs)
    with pytest.raises(InputError, match="other params"):
        low_resource.main([*given, "--split", "test"])


def test_runs_are_kept_by_share_and_seed(tmp_path):
    path = tmp_path / "curve.json"
    for share, seed, score in ((1.0, 0, 0.9), (0.1, 1, 0.5), (0.1, 0, 0.4), (0.1, 1, 0.6)):
        low_resource.add_run(path, {}, {"share": share, "seed": seed, "exact_match": score})
    runs = json.loads(path.read_text())["runs"]
    assert [(run["share"], run["seed"], run["exact_match"]) for run in runs] == [(0.1, 0, 0.4), (0.1, 1, 0.6), (1.0, 0, 0.9)]


def test_the_curve_is_drawn_the_same_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    from plot_low_resource import draw

    runs = [
        {"share": share, "seed": seed, "rows": round(5103 * share), **scores}
        for share in (0.01, 0.1, 1.0)
        for seed in (0, 1)
        for scores in [{"exact_match": 0.5 + share / 3, "exact_match_low": 0.4, "exact_match_high": 0.9}]
    ]
    results = tmp_path / "curve.json"
    results.write_text(json.dumps({"params": {"generate": {"split": "validation"}}, "runs": runs}))
    images = [tmp_path / name for name in ("one.svg", "two.svg")]
    for image in images:
        draw(results, image)
    assert images[0].read_bytes() == images[1].read_bytes()
    assert images[0].read_text().count("<svg") == 1
