"""A DVC project whose every out is a placeholder that DVC takes for up to date.

What is asked of it is what DVC does with outs, not how they are made.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from imports import ROOT
from project import Project

CACHED = (
    *(f"data/raw/{split}.jsonl" for split in ("train", "validation", "test")),
    *(f"data/tokenized/{split}.parquet" for split in ("train", "validation")),
    *(f"predictions/{which}.jsonl" for which in ("base", "tuned")),
    "predictions/probes/unseen_names.jsonl",
    "models/adapter/adapter_config.json",
    "models/README.md",
    "reports/index.html",
)
IN_GIT = (
    *(f"metrics/{name}.json" for name in ("tokens", "model", "base", "tuned", "probes", "comparison")),
    *(f"plots/{which}/{name}.csv" for which in ("base", "tuned") for name in ("attributes", "by_dialogue_act", "dialogue_acts")),
    "plots/loss.csv",
    "plots/token_lengths.csv",
)


def dvc(folder: Path, *arguments: str) -> str:
    """Run dvc in `folder` and return what it prints."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder` and return what it prints."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit_placeholders(project: Project) -> None:
    """Make `project` a git and DVC repository, with the library's sources and a placeholder for each out."""
    shutil.copytree(ROOT / "src", project.folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / ".gitignore", project.folder)
    git(project.folder, "init", "--quiet")
    dvc(project.folder, "init", "--quiet")
    for path in (*CACHED, *IN_GIT):
        target = project.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{path}\n", encoding="utf-8")
    dvc(project.folder, "commit", "--force")
