"""benchmarks/seeds.py: several seeds of a profile, trained, scored and recorded."""

import json
from collections import Counter

import pytest
import seeds
import yaml
from helpers.fake_stages import fake_run
from helpers.imports import ROOT
from workspace import Workspace

from viggo_pipe.core.errors import InputError

PROFILE = str(ROOT / "profiles/smollm2-135m.yaml")


def test_soups_that_would_share_members_are_refused():
    with pytest.raises(InputError, match="soups of 8 and 15 would share members; set them 8 apart"):
        seeds.main(["ours", "--params", PROFILE, "--seeds", "0", "15", "8"])


def test_a_run_that_cannot_be_recorded_is_refused_before_it_is_trained(tmp_path):
    given = ["--root", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    with pytest.raises(InputError, match="only runs on ViGGO"):
        seeds.main(["ours", "--params", str(ROOT / "profiles/quickstart.yaml"), *given])
    assert not list(tmp_path.glob("runs/*/data")) and not (tmp_path / "results").exists()


def test_each_seed_is_recorded_and_nothing_runs_twice(tmp_path, monkeypatch):
    ran = Counter()

    def run(workspace, *stages):
        params = yaml.safe_load((workspace.folder / "params.yaml").read_text(encoding="utf-8"))
        for stage in stages:
            if not workspace.has_run(stage):
                ran[stage] += 1
                fake_run(workspace.folder, stage, params["generate"]["split"], ran.total())

    monkeypatch.setattr(Workspace, "run", run)
    monkeypatch.chdir(ROOT)
    given = ["smollm2-135m", "--root", str(tmp_path / "runs"), "--commit", "abc"]
    validation = [*given, "--split", "validation", "--results", str(tmp_path / "validation")]

    seeds.main([*validation, "--seeds", "0"])
    first = recorded(tmp_path / "validation")
    seeds.main(validation)  # by default three seeds whose soups share no member
    runs = recorded(tmp_path / "validation")
    assert set(runs) == {"0", "8", "16"} and runs["0"] == first["0"]
    assert all(len(run["right"]) == 714 and run["commit"] == "abc" for run in runs.values())
    assert len({run["stages"]["train"]["seconds"] for run in runs.values()}) == 3
    assert ran == {
        **dict.fromkeys(("fetch", "tokenize", "predict-base"), 1),
        **dict.fromkeys(("train", "predict-tuned", "predict-robustness", "score"), 3),
    }

    seeds.main([*given, "--results", str(tmp_path / "test")])
    tested = recorded(tmp_path / "test")
    assert all(len(run["right"]) == 1083 for run in tested.values())
    assert ran["train"] == 3, "the adapters of validation were trained again"
    assert tested["8"]["stages"]["train"] == runs["8"]["stages"]["train"]


def recorded(results):
    """The runs of the record, by seed."""
    return json.loads((results / "smollm2-135m.json").read_text(encoding="utf-8"))["runs"]
