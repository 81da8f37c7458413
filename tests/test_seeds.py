"""benchmarks/seeds.py: several seeds of a profile, trained, scored and recorded."""

import json

import pytest
import seeds
import yaml
from imports import ROOT
from tiny_profiles import tiny_viggo_profile

from viggo_pipe.errors import InputError


def test_soups_that_would_share_members_are_refused(tmp_path):
    with pytest.raises(InputError, match="soups of 8 and 15 would share members; let them lie 8 apart"):
        seeds.main(["ours", "--params", str(ROOT / "profiles/smollm2-135m.yaml"), "--seeds", "0", "15", "8"])


def test_seeds_that_nobody_names_are_three_whose_soups_share_no_member(monkeypatch, tmp_path):
    recorded = []
    monkeypatch.setattr(seeds, "record_seeds", lambda name, workspaces, *others: recorded.extend(workspaces))
    seeds.main(["ours", "--params", str(ROOT / "profiles/smollm2-135m.yaml"), "--root", str(tmp_path), "--commit", "abc"])
    chosen = [yaml.safe_load((workspace.folder / "params.yaml").read_text())["train"] for workspace in recorded]
    assert [train["seed"] for train in chosen] == [number * chosen[0]["soup_members"] for number in range(3)]


def test_what_cannot_be_recorded_is_found_before_it_is_trained(tmp_path):
    given = ["--root", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    with pytest.raises(InputError, match="only runs on ViGGO"):
        seeds.main(["ours", "--params", str(ROOT / "profiles/quickstart.yaml"), *given])
    assert not list(tmp_path.glob("runs/*/data")) and not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.viggo
def test_each_seed_is_recorded_with_probes_seconds_and_hardware(viggo_folder, tmp_path):
    profile = tiny_viggo_profile(tmp_path)
    results = tmp_path / "results"
    given = ["tiny", "--params", str(profile), "--viggo", str(viggo_folder), "--split", "validation"]
    given += ["--results", str(results), "--root", str(tmp_path / "runs"), "--commit", "abc"]

    seeds.main([*given, "--seeds", "0"])
    first = (results / "tiny.json").read_bytes()
    seeds.main([*given, "--seeds", "0", "2"])
    runs = json.loads((results / "tiny.json").read_text())["runs"]
    assert list(runs) == ["0", "2"] and runs["0"] == json.loads(first)["runs"]["0"]
    for run in runs.values():
        assert len(run["right"]) == 714 and run["commit"] == "abc"
        assert run["metrics"]["probes"]["unseen_names"]["examples"] == 2
        assert run["stages"]["train"]["seconds"] > 0 and run["stages"]["predict-probes"]["machine"]["cores"] > 0
    assert runs["0"]["stages"]["predict-base"] == runs["2"]["stages"]["predict-base"], "the base model was asked twice"
    assert runs["0"]["stages"]["train"] != runs["2"]["stages"]["train"]

    seeds.main(
        [part if part != "validation" else "test" for part in given] + ["--seeds", "0", "--results", str(tmp_path / "test")]
    )
    (asked,) = json.loads((tmp_path / "test/tiny.json").read_text())["runs"].values()
    assert len(asked["right"]) == 1083
    assert asked["stages"]["train"] == runs["0"]["stages"]["train"], "the adapter was trained twice"
