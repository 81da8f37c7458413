"""benchmarks/ablations.py: single changes to a profile, measured by the stages."""

import json
import time

import ablations
import pytest
from imports import ROOT
from tiny_profiles import tiny_sample_profile

from viggo_pipe.errors import InputError

FIGURES = {"exact_match": 0.95, "probes": dict.fromkeys(("lower_case", "no_punctuation", "typing_slips", "unseen_names"), 0.9)}


def test_every_change_is_one_that_params_take(tmp_path):
    """And no two of them are the same run."""
    profile = ablations.changed(ablations.read_profile(ROOT / "profiles/smollm2-135m.yaml"), **ablations.ONE_ADAPTER)
    folders = {
        ablations.Workspace(ablations.changed(profile, **change), tmp_path).folder for change in ablations.CHANGES.values()
    }
    assert len(folders) == len(ablations.CHANGES)


def test_params_that_are_not_valid_are_there_to_be_seen(tmp_path):
    profile = ablations.read_profile(ROOT / "profiles/smollm2-135m.yaml")
    with pytest.raises(InputError, match="reverse_weight needs") as raised:
        ablations.Workspace(ablations.changed(profile, train={"reverse_members": 0}), tmp_path)
    (left,) = tmp_path.iterdir()
    assert str(left) in str(raised.value)


def test_the_table_has_means_over_seeds_in_the_order_of_the_changes(tmp_path):
    path = tmp_path / "ablations.json"
    ablations.add_run(path, {}, "two epochs", 0, FIGURES)
    ablations.add_run(path, {}, ablations._AS_IT_IS, 0, FIGURES)
    ablations.add_run(path, {}, ablations._AS_IT_IS, 1, FIGURES | {"exact_match": 0.97})
    assert ablations.table(path)[2:] == [
        "| the profile, one adapter, greedy | 96.0 ± 1.4 | 90.0 | 90.0 | 90.0 | 90.0 | 2 |",
        "| two epochs | 95.0 | 90.0 | 90.0 | 90.0 | 90.0 | 1 |",
    ]


def test_runs_with_other_params_are_refused_before_any_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "measure", lambda workspace: FIGURES)
    given = ["--out", str(tmp_path / "ablations.json"), "--root", str(tmp_path / "runs"), "--changes", "two epochs"]
    ablations.main([*given, "--params", str(ROOT / "profiles/smollm2-135m.yaml")])
    with pytest.raises(InputError, match="measured with other params"):
        ablations.main([*given, "--params", str(ROOT / "profiles/quickstart.yaml")])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_after_ctrl_c_and_errors_of_its_own_no_other_run_begins(tmp_path, monkeypatch, interruption):
    begun = []

    def measure(workspace):
        begun.append(workspace)
        time.sleep(0.1)
        raise interruption

    monkeypatch.setattr(ablations, "measure", measure)
    monkeypatch.chdir(ROOT)
    with pytest.raises(interruption):
        ablations.main(["--out", str(tmp_path / "ablations.json"), "--root", str(tmp_path / "runs")])
    assert len(begun) < len(ablations.CHANGES)


@pytest.mark.slow
def test_changes_are_measured_side_by_side_and_one_that_fails_keeps_none_back(tmp_path, monkeypatch, capsys):
    profile = tiny_sample_profile(tmp_path)
    monkeypatch.setitem(ablations.CHANGES, "too long", {"tokenize": {"max_length": 2}})
    out = tmp_path / "results/ablations.json"
    given = ["--params", str(profile), "--out", str(out), "--root", str(tmp_path / "runs"), "--jobs", "2"]
    with pytest.raises(SystemExit, match="not measured: too long, seed 0"):
        ablations.main([*given, "--changes", "too long", ablations._AS_IT_IS, "learning rate 4e-3"])
    measured = json.loads(out.read_text())["runs"]
    assert list(measured) == [ablations._AS_IT_IS, "learning rate 4e-3"]
    assert all(0 <= run["0"]["probes"]["typing_slips"] <= 1 for run in measured.values())
    assert "| learning rate 4e-3 |" in capsys.readouterr().out


def test_the_table_in_the_docs_is_of_the_recorded_runs():
    lines = ablations.table(ROOT / "benchmarks/results/ablations.json")
    assert "\n".join(lines) in (ROOT / "docs/quality.md").read_text(encoding="utf-8")
