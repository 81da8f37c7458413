"""A DVC project whose every out is a placeholder that DVC takes for up to date.

What is asked of it is what DVC does with outs, not how they are made.
"""

import contextlib
import io
import logging
import shutil
import subprocess
from pathlib import Path

from dvc.cli import main
from helpers.imports import ROOT
from helpers.project import Project

CACHED = (
    *(f"data/raw/{split}.jsonl" for split in ("train", "validation", "test")),
    *(f"data/tokenized/{split}.parquet" for split in ("train", "validation")),
    *(f"predictions/{which}.jsonl" for which in ("base", "tuned")),
    "predictions/robustness/unseen_names.jsonl",
    "models/adapter/adapter_config.json",
    "models/README.md",
    "reports/index.html",
)
IN_GIT = (
    *(f"metrics/{name}.json" for name in ("tokens", "model", "base", "tuned", "robustness", "comparison")),
    *(
        f"plots/{which}/{name}.csv"
        for which in ("base", "tuned")
        for name in ("attributes", "by_dialogue_act", "dialogue_acts")
    ),
    "plots/loss.csv",
    "plots/token_lengths.csv",
)


def run_dvc(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run dvc in `folder`, in this process, which has imported it; return its exit status, stdout and stderr.

    What stages print, which are processes of their own, is not in there.
    """
    out, err = io.StringIO(), io.StringIO()
    handlers = logging.getLogger("dvc").handlers
    # They write to what stdout and stderr were when DVC was imported.
    streams = [handler.setStream(err if handler.level == logging.WARNING else out) for handler in handlers]
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(arguments))
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            handler.setStream(stream)
    return status, out.getvalue(), err.getvalue()


def dvc(folder: Path, *arguments: str) -> str:
    """Run dvc in `folder` and return what it prints."""
    status, out, err = run_dvc(folder, *arguments)
    assert status == 0, out + err
    return out


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder` and return what it prints."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_repository(folder: Path) -> None:
    """Make a project's folder a git and DVC repository that has the library's sources."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / ".gitignore", folder)
    git(folder, "init", "--quiet")
    dvc(folder, "init", "--quiet")


def commit_placeholders(project: Project) -> None:
    """Make `project` a repository, and commit the library's sources and a placeholder for each out."""
    make_repository(project.folder)
    for path in (*CACHED, *IN_GIT):
        target = project.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{path}\n", encoding="utf-8")
    dvc(project.folder, "commit", "--force")
    commit_all(project.folder)


def commit_all(folder: Path) -> None:
    """Commit all that git does not ignore."""
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "A run")
