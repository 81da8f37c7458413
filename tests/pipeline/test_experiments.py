"""An experiment runs the code that it records: a stage runs the library beside its own script.

DVC runs stages as `python SCRIPT`, and an installed library would stand in for the one that dvc.lock names
(dvc#10419). Here another checkout's library is always found first, as after an editable install of that one.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.dvc_project import commit_all, dvc, git, make_repository
from helpers.imports import ROOT
from helpers.project import Project

pytestmark = pytest.mark.slow

TRAIN = "data/raw/train.jsonl"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A checkout whose sample is small, in an environment that has another checkout's library installed."""
    shutil.copytree(ROOT / "src", tmp_path / "installed/src", ignore=shutil.ignore_patterns("__pycache__"))
    mark(tmp_path / "installed", "Installed")
    project = Project(tmp_path / "workspace")
    project.set(dataset={"sample": {"train": 12, "validation": 2, "test": 2, "seed": 0}})
    make_repository(project.folder)
    commit_all(project.folder)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed/src"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    return project.folder


def mark(checkout: Path, word: str) -> None:
    """Have the checkout's library write games whose names begin with `word`."""
    original = (ROOT / "src/viggo_pipe/data/sample_phrases.py").read_text(encoding="utf-8")
    change = f'TITLE_FIRST = tuple("{word}" + first for first in TITLE_FIRST)\n'
    (checkout / "src/viggo_pipe/data/sample_phrases.py").write_text(original + change, encoding="utf-8")


def is_by(word: str, rows: str) -> bool:
    """Whether a library that was marked with `word` wrote the rows, and no other one."""
    words = {"Installed", "Queued", "Other", "Later"}
    return {found for found in words if found in rows} == {word}


def dvc_apart(folder: Path, *arguments: str) -> None:
    """Run dvc as a process: it starts workers for queued experiments."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def written_by_experiment(folder: Path, name: str) -> str:
    """The training rows that an experiment wrote, from DVC's cache."""
    (ref,) = git(folder, "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").split()
    lock = yaml.safe_load(git(folder, "show", f"{ref}:dvc.lock"))
    (digest,) = (out["md5"] for out in lock["stages"]["fetch"]["outs"] if out["path"] == TRAIN)
    return (folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).read_text(encoding="utf-8")


def test_a_queued_experiment_runs_the_code_of_when_it_was_queued(workspace):
    mark(workspace, "Queued")
    dvc_apart(workspace, "exp", "run", "--queue", "--name", "queued", "fetch")
    mark(workspace, "Later")
    dvc_apart(workspace, "exp", "run", "--run-all")
    assert is_by("Queued", written_by_experiment(workspace, "queued"))


def test_an_experiment_in_a_temporary_folder_runs_the_workspaces_code(workspace):
    mark(workspace, "Later")
    dvc_apart(workspace, "exp", "run", "--temp", "--name", "temporary", "fetch")
    assert is_by("Later", written_by_experiment(workspace, "temporary"))


def test_two_checkouts_that_share_an_environment_run_their_own_code(workspace):
    other = shutil.copytree(workspace, workspace.parent / "other", symlinks=True)
    for checkout, word in ((workspace, "Later"), (other, "Other")):
        mark(checkout, word)
        dvc(checkout, "repro", "fetch")
    assert is_by("Later", (workspace / TRAIN).read_text(encoding="utf-8"))
    assert is_by("Other", (other / TRAIN).read_text(encoding="utf-8"))


def test_a_git_worktree_runs_its_own_code(workspace):
    other = workspace.parent / "other"
    git(workspace, "worktree", "add", "--quiet", str(other))
    mark(workspace, "Later")
    mark(other, "Other")
    dvc(other, "repro", "fetch")
    assert is_by("Other", (other / TRAIN).read_text(encoding="utf-8"))


def test_an_installed_library_would_be_found_without_that(workspace):
    """These tests would notice: a script that does not look beside itself runs the installed library."""
    mark(workspace, "Later")
    script = workspace / "stages/fetch_dataset.py"
    lines = script.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("sys.path.insert")]
    assert len(kept) == len(lines) - 1
    script.write_text("".join(kept), encoding="utf-8")
    dvc(workspace, "repro", "fetch")
    assert is_by("Installed", (workspace / TRAIN).read_text(encoding="utf-8"))
