"""benchmarks/ablations.py: single changes to a profile."""

import json
import time

import ablations
import pytest
from helpers.fake_stages import EXACT_MATCH, fake_run
from helpers.imports import ROOT
from workspace import ONE_ADAPTER, Workspace, changed, read_profile

from viggo_pipe.core.errors import InputError

PROFILE = ROOT / "profiles/smollm2-135m.yaml"
FIGURES = {"exact_match": 0.95, "robustness": dict.fromkeys(ablations._SETS, 0.9)}


@pytest.fixture
def main(tmp_path, monkeypatch):
    """Run the benchmark; its results are in results.json."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        given = ["--out", "results.json", "--root", "runs", *map(str, arguments)]
        return ablations.main(["--params", str(PROFILE), *given])

    return run


def test_every_change_is_valid_and_a_run_of_its_own(tmp_path):
    profile = changed(read_profile(PROFILE), **ONE_ADAPTER)
    folders = {
        Workspace(changed(profile, **change), tmp_path).folder for change in ablations.CHANGES.values()
    }
    assert len(folders) == len(ablations.CHANGES)


def test_one_change_that_fails_does_not_hold_the_others_back(main, tmp_path, monkeypatch, capsys):
    def run(workspace, *stages):
        if "learning_rate: 0.004" in (workspace.folder / "params.yaml").read_text(encoding="utf-8"):
            raise SystemExit(2)
        for stage in stages:
            fake_run(workspace.folder, stage, "validation", 1.0)

    monkeypatch.setattr(Workspace, "run", run)
    with pytest.raises(InputError, match="not measured: learning rate 4e-3, seed 0"):
        main("--changes", "learning rate 4e-3", "two epochs", ablations.BASELINE, "--jobs", 2)
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert list(runs) == [ablations.BASELINE, "two epochs"]
    assert runs["two epochs"]["0"]["robustness"] == dict.fromkeys(ablations._SETS, EXACT_MATCH)
    assert runs["two epochs"]["0"]["exact_match"] == EXACT_MATCH
    assert "| two epochs | 33.3 |" in capsys.readouterr().out


def test_the_table_has_means_over_seeds_in_the_order_of_the_changes(tmp_path):
    path = tmp_path / "ablations.json"
    ablations.add_run(path, {}, "two epochs", 0, FIGURES)
    ablations.add_run(path, {}, ablations.BASELINE, 0, FIGURES)
    ablations.add_run(path, {}, ablations.BASELINE, 1, FIGURES | {"exact_match": 0.97})
    assert ablations.table(path)[2:] == [
        "| the profile, one adapter, greedy | 96.0 ± 1.4 | 90.0 | 90.0 | 90.0 | 90.0 | 2 |",
        "| two epochs | 95.0 | 90.0 | 90.0 | 90.0 | 90.0 | 1 |",
    ]


def test_a_file_with_other_params_is_refused_before_any_run(main, monkeypatch):
    monkeypatch.setattr(ablations, "measure", lambda workspace: FIGURES)
    main("--changes", "two epochs")
    with pytest.raises(InputError, match="measured with other params"):
        main("--params", ROOT / "profiles/quickstart.yaml")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_after_ctrl_c_or_an_error_no_other_run_starts(main, monkeypatch, interruption):
    started = []

    def measure(workspace):
        started.append(workspace)
        time.sleep(0.1)
        raise interruption

    monkeypatch.setattr(ablations, "measure", measure)
    with pytest.raises(interruption):
        main()
    assert len(started) < len(ablations.CHANGES)


def test_the_docs_and_the_profile_are_those_of_the_recorded_runs():
    results = ROOT / "benchmarks/results/ablations.json"
    assert "\n".join(ablations.table(results)) in (ROOT / "docs/quality.md").read_text(encoding="utf-8")
    params = changed(changed(read_profile(PROFILE), **ONE_ADAPTER), generate={"split": "validation"})
    assert ablations.read_runs(results, ablations.common(params))
