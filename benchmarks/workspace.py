"""A folder that the pipeline's stages run in with a benchmark's own params: by hand, on a machine that need not have DVC.

Each stage is a process of its own, as under `dvc repro`, so that the seconds and the memory that it measures are its own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from viggo_pipe.dvc_files import read_metrics
from viggo_pipe.errors import InputError
from viggo_pipe.files import atomic_write
from viggo_pipe.params import SECTIONS, load_params
from viggo_pipe.resume import input_digest

Params = dict[str, dict[str, Any]]  # sections of params.yaml
Number = TypeVar("Number", int, float)
ONE_ADAPTER: Params = {  # for `changed`: one adapter that answers greedily, in place of soups and of ranking alternatives
    "prompt": {"reverse": None},
    "train": {"soup_members": 1, "soup_rank": None, "reverse_members": 0},
    "generate": {"alternatives": None, "reverse_weight": 0.0},
}
_PROJECT = Path(__file__).parents[1]
_SCRIPTS = {
    "fetch": ("fetch_dataset.py",),
    "tokenize": ("tokenize_dataset.py",),
    "train": ("train_lora.py",),
    "predict-base": ("predict.py", "base"),
    "predict-tuned": ("predict.py", "tuned"),
    "predict-probes": ("predict_probes.py",),
    "score-base": ("score.py", "base"),
    "score-tuned": ("score.py", "tuned"),
    "score-probes": ("score_probes.py",),
    "compare": ("compare.py",),
}


def read_profile(path: Path, viggo: Path | None = None) -> Params:
    """The sections of a params file, its paths made absolute; with `viggo`, the dataset is the CSV files in that folder.

    Raises:
        InputError: the file is not valid.
    """
    params = load_params(*SECTIONS, path=path)
    sections = {name: getattr(params, name).model_dump() for name in SECTIONS}
    if viggo is not None:
        sections["dataset"] |= {"source": "local", "path": str(viggo)}
    for section in ("dataset", "model"):
        if sections[section]["source"] == "local":
            sections[section]["path"] = str(Path(sections[section]["path"]).resolve())
    return sections


def changed(params: Params, **sections: dict[str, Any]) -> Params:
    """`params` with other values for some keys: `changed(params, train={"seed": 4})`."""
    return {name: keys | sections.get(name, {}) for name, keys in params.items()}


def common(params: Params, *of_dataset: str) -> Params:
    """What the runs of a file of results have in common: not the seed, where the files lay, and the keys `of_dataset`."""
    setting = {name: dict(keys) for name, keys in params.items() if name != "runtime"}
    for section, keys in {"dataset": ("source", "path", *of_dataset), "train": ("seed",)}.items():
        for key in keys:
            del setting[section][key]
    return setting


def read_runs(path: Path, params: Params) -> Any:
    """The runs that a file of results has, or None if there is no file.

    Raises:
        InputError: they were made with other params than `params`.
    """
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("params") != params:
        raise InputError(f"{path} was measured with other params; name another file by --out, or delete it")
    return content["runs"]


def write_runs(path: Path, params: Params, runs: Any) -> None:
    """Write a file that `read_runs` reads."""
    with atomic_write(path) as file:
        json.dump({"params": params, "runs": runs}, file, indent=2)
        file.write("\n")


def positive(kind: type[Number]) -> Callable[[str], Number]:
    """What argparse reads a number above 0 with."""

    def number(text: str) -> Number:
        if kind(text) <= 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return kind(text)

    return number


class Workspace:
    """A folder of `root` for `params`.

    Its name is a digest of them, of the data's files, and of the library's and the stages' code: a stage that has run there
    need not run again, and one that was killed goes on.

    Raises:
        InputError: the params are not valid.
    """

    def __init__(self, params: Params, root: Path):
        root.mkdir(parents=True, exist_ok=True)
        file = (
            root / f"params-{os.getpid()}.yaml"
        )  # another process may be at work in `root`; invalid params stay there to be seen
        file.write_text(yaml.safe_dump(params), encoding="utf-8")
        checked = load_params(*SECTIONS, path=file)
        data = [checked.dataset.path] if checked.dataset.source == "local" else []
        sections = [getattr(checked, name) for name in SECTIONS if name != "runtime"]
        self.folder = root / input_digest(sections, [_PROJECT / "stages", *data])[:16]
        self.folder.mkdir(exist_ok=True)
        file.replace(self.folder / "params.yaml")

    def run(self, *stages: str) -> None:
        """Run `stages` one after another, but for those that have run here.

        Raises:
            SystemExit: one failed, and said why.
        """
        # An installed library needs no path, and one that is not may have been named by a relative one.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_PROJECT / "src"), os.environ.get("PYTHONPATH", "")])}
        for stage in stages:
            if self.has_run(stage):
                continue
            script, *arguments = _SCRIPTS[stage]
            ran = subprocess.run(
                [sys.executable, str(_PROJECT / "stages" / script), *arguments], cwd=self.folder, env=environment
            )
            if ran.returncode:
                raise SystemExit(ran.returncode)

    def take(self, other: "Workspace", stages: tuple[str, ...], files: tuple[str, ...]) -> None:
        """Copy what `stages` wrote in `other`, `files` and folders of it, as if they had run here."""
        if other.folder == self.folder:
            return
        for name in (*files, *(str(self._note(stage).relative_to(self.folder)) for stage in stages)):
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (other.folder / name).is_dir():
                shutil.copytree(other.folder / name, target, dirs_exist_ok=True)
            else:
                shutil.copy(other.folder / name, target)

    def has_run(self, *stages: str) -> bool:
        """Whether all of `stages` have come to their end here."""
        return all(self._note(stage).exists() for stage in stages)

    def measured(self, stage: str) -> dict[str, Any]:
        """What a stage that has run here measured: seconds, memory, machine."""
        return read_metrics(self._note(stage))

    def metrics(self, name: str) -> dict[str, Any]:
        """metrics/NAME.json."""
        return read_metrics(self.folder / f"metrics/{name}.json")

    def _note(self, stage: str) -> Path:
        return self.folder / f"runs/{stage}.json"
