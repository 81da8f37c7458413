"""benchmarks/workspace.py: a folder in which the pipeline's stages run with a benchmark's params."""

import pytest
import workspace
import yaml
from helpers.imports import ROOT
from workspace import Workspace, changed, read_profile

from viggo_pipe.core.errors import InputError

SMALL = {"sample": {"train": 3, "validation": 2, "test": 2, "seed": 0}}


@pytest.fixture
def params():
    return changed(read_profile(ROOT / "profiles/quickstart.yaml"), dataset=SMALL)


def test_a_stage_runs_once(params, tmp_path):
    first = Workspace(params, tmp_path / "runs")
    first.run("fetch")
    rows = first.folder / "data/raw/train.jsonl"
    assert first.has_run("fetch") and first.measured("fetch")["seconds"] >= 0
    rows.unlink()
    again = Workspace(params, tmp_path / "runs")
    again.run("fetch")
    assert again.folder == first.folder and not rows.exists()
    assert not Workspace(changed(params, train={"seed": 1}), tmp_path / "runs").has_run("fetch")


def test_a_stage_that_fails_ends_the_run_with_its_status(params, tmp_path, capfd):
    empty = tmp_path / "empty"
    empty.mkdir()
    local = Workspace(changed(params, dataset={"source": "local", "path": str(empty)}), tmp_path / "runs")
    with pytest.raises(SystemExit) as ended:
        local.run("fetch", "tokenize")
    assert ended.value.code == 2 and not local.has_run("fetch")
    assert "train.csv" in capfd.readouterr().err


def test_what_another_workspace_wrote_can_be_taken(params, tmp_path):
    one, other = (Workspace(changed(params, train={"seed": seed}), tmp_path) for seed in (0, 1))
    one.run("fetch")
    other.take(one, ("fetch",), ("data",))
    assert other.has_run("fetch") and (other.folder / "data/raw/train.jsonl").is_file()


def test_invalid_params_stay_where_the_error_names_them(params, tmp_path):
    with pytest.raises(InputError, match="channel_weight needs") as raised:
        Workspace(changed(params, generate={"channel_weight": 0.5}), tmp_path)
    (left,) = tmp_path.iterdir()
    assert str(left) in str(raised.value)


def test_a_profile_gets_other_data_and_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sections = read_profile(ROOT / "profiles/smollm2-135m.yaml", tmp_path.relative_to(tmp_path))
    assert (sections["dataset"]["source"], sections["dataset"]["path"]) == ("local", str(tmp_path))
    assert sections["train"]["soup_members"] == 8


def test_the_commands_are_those_of_dvc_yaml():
    declared = set()
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values():
        command = stage.get("do", stage)["cmd"]
        declared |= {command.replace("${key}", key) for key in stage.get("foreach", [""])}
    for script, *arguments in workspace.COMMANDS.values():
        assert " ".join(["python", f"stages/{script}", *arguments]) in declared
