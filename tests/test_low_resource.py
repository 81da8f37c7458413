"""benchmarks/low_resource.py: a curve over shares of the training rows, by the stages, and its drawing."""

import json

import low_resource
import pytest
from imports import ROOT
from tiny_profiles import tiny_sample_profile

from viggo_pipe.errors import InputError


@pytest.mark.slow
def test_a_curve_is_measured_and_gone_on_with(tmp_path):
    out = tmp_path / "results/curve.json"
    given = ["--params", str(tiny_sample_profile(tmp_path)), "--out", str(out), "--root", str(tmp_path / "runs")]
    low_resource.main([*given, "--shares", "0.25"])
    (first,) = json.loads(out.read_text())["runs"]
    low_resource.main([*given, "--shares", "1", "0.25"])
    runs = json.loads(out.read_text())["runs"]
    assert runs[0] == first, "the share that had been measured was not taken as it was"
    assert [(run["share"], run["rows"], run["variants"], run["examples"]) for run in runs] == [(0.25, 5, 4, 4), (1.0, 20, 1, 4)]
    assert all(0 <= run["exact_match_low"] <= run["exact_match"] <= run["exact_match_high"] <= 1 for run in runs)
    with pytest.raises(InputError, match="other params"):
        low_resource.main([*given, "--split", "test"])


def test_one_adapter_is_trained_that_answers_greedily_whatever_the_profile_averages(tmp_path, monkeypatch):
    asked = []

    def measure(params, share, seed, root):
        asked.append(params)
        return {"share": share, "seed": seed, "rows": 1, "exact_match": 1.0}

    monkeypatch.setattr(low_resource, "measure", measure)
    given = ["--params", str(ROOT / "profiles/smollm2-135m.yaml"), "--shares", "1"]
    for members in (1, 2):
        low_resource.main([*given, "--members", str(members), "--out", str(tmp_path / f"{members}.json")])
        train, generate = asked[-1]["train"], asked[-1]["generate"]
        assert (train["soup_members"], train["reverse_members"], generate["alternatives"]) == (members, 0, None)


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
