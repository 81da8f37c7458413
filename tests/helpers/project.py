"""A copy of the project in a temporary folder, whose params a test may change and whose stages it may run."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterable
from copy import copy
from pathlib import Path

import yaml
from helpers.imports import ROOT

FLOW = (
    "fetch_dataset.py",
    "tokenize_dataset.py",
    "train_lora.py",
    "predict.py base",
    "predict.py tuned",
    "predict_robustness.py",
    "score.py",
    "report.py",
)
TRAINING_OUTS = (
    "models/adapter/adapter_model.safetensors",
    "models/adapter/adapter_config.json",
    "plots/loss.csv",
)

IN_ONE_PROCESS = str(ROOT / "tests/helpers/one_process.py")


class Project:
    """The project's own stages, profiles and dvc.yaml, under `folder`, with the profile `quickstart` and
    `changes`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("stages", "profiles"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, folder)
        for name in ("data/local", "data/model"):
            (folder / name).mkdir(parents=True)
            shutil.copy(ROOT / name / "README.md", folder / name)
        shutil.copy(ROOT / "profiles/quickstart.yaml", folder / "params.yaml")

    def copy(self, folder: Path) -> "Project":
        """This project with all that it holds, in another folder."""
        other = copy(self)
        other.folder = Path(shutil.copytree(self.folder, folder, symlinks=True))
        return other

    def set(self, **sections: dict) -> None:
        """Change keys of params.yaml: `set(lora={"r": 2})`."""
        params = yaml.safe_load((self.folder / "params.yaml").read_text(encoding="utf-8"))
        for section, keys in sections.items():
            params[section] |= keys
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    def run(self, monkeypatch, script: str, *arguments: str) -> int:
        """Run a stage's script in this process, which has imported the libraries already; return its exit
        status.
        """
        monkeypatch.chdir(self.folder)
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        try:
            runpy.run_path(str(self.folder / "stages" / script), run_name="__main__")
        except SystemExit as exit_:
            return exit_.code
        raise AssertionError("a stage's script ends with sys.exit")

    def run_all(self, monkeypatch, start: str = "fetch_dataset.py") -> None:
        """Run every stage in the order of its flow, from `start` on."""
        for call in FLOW[FLOW.index(start) :]:
            script, *arguments = call.split()
            assert self.run(monkeypatch, script, *arguments) == 0, call

    def contents(self, names: Iterable[str] = TRAINING_OUTS) -> dict[str, bytes]:
        """What the files `names` hold."""
        return {name: (self.folder / name).read_bytes() for name in names}

    def run_all_apart(self, **environment: str) -> None:
        """Run every stage in one other process, with `environment` on top of this one's."""
        done = subprocess.run(
            [sys.executable, IN_ONE_PROCESS, *(f"stages/{call}" for call in FLOW)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def tokenized_project(folder: Path, monkeypatch, **sections: dict) -> Project:
    """A project in `folder` with tokens to train a tiny Mistral on, its adapter on one layer; `sections` add
    to its params.
    """
    from helpers.tiny_model import write_tiny_mistral

    write_tiny_mistral(folder / "tiny-mistral")
    project = Project(folder / "project")
    project.set(
        model={"source": "local", "path": str(folder / "tiny-mistral"), "sha256": None},
        tokenize={"max_length": 256},
        lora={"r": 4, "upper_layers": 1},
    )
    project.set(**sections)
    for script in ("fetch_dataset.py", "tokenize_dataset.py"):
        assert project.run(monkeypatch, script) == 0
    return project
