"""A folder in which a benchmark runs the pipeline's stages with its own params. It does not need DVC.

Each stage is a process, as under `dvc repro`: the seconds and the memory that it measures are its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from viggo_pipe.config.load import SECTIONS, load_params
from viggo_pipe.config.profiles import load_profile
from viggo_pipe.core.metrics_io import read_metrics
from viggo_pipe.core.resume_digest import input_digest
from viggo_pipe.evaluation.predictions import read_predictions
from viggo_pipe.evaluation.scoring import exact_match

Sections = dict[str, dict[str, Any]]  # of params.yaml
# For `changed`: one adapter and greedy decoding, instead of soups and reranking.
ONE_ADAPTER: Sections = {
    "prompt": {"reverse": None},
    "train": {"soup_members": 1, "soup_rank": None, "reverse_members": 0},
    "generate": {"rerank": None, "channel_weight": 0.0},
}
_PROJECT = Path(__file__).parents[1]
_PROFILE = _PROJECT / "profiles/smollm2-135m.yaml"
COMMANDS = {
    "fetch": ("fetch_dataset.py",),
    "tokenize": ("tokenize_dataset.py",),
    "train": ("train_lora.py",),
    "predict-base": ("predict.py", "base"),
    "predict-tuned": ("predict.py", "tuned"),
    "predict-robustness": ("predict_robustness.py",),
    "score": ("score.py",),
}


def add_arguments(parser: argparse.ArgumentParser, root: Path) -> None:
    """The arguments that say what runs, and where: --params, --viggo and --root."""
    parser.add_argument("--params", type=Path, default=_PROFILE, help="a profile, or a complete params file")
    parser.add_argument(
        "--viggo", type=Path, help="folder of ViGGO's CSV files, instead of the profile's source"
    )
    parser.add_argument("--root", type=Path, default=root, help="where the stages run")


def read_profile(path: Path, viggo: Path | None = None) -> Sections:
    """The sections of a profile or of a complete params file, with absolute paths.

    Args:
        viggo: a folder of CSV files that replaces the dataset's source.

    Raises:
        InputError: the file is not valid.
    """
    sections = load_profile(path).model_dump()
    if viggo is not None:
        sections["dataset"] |= {"source": "local", "path": str(viggo)}
    for section in ("dataset", "model"):
        if sections[section]["source"] == "local":
            sections[section]["path"] = str(Path(sections[section]["path"]).resolve())
    return sections


def changed(params: Sections, **sections: dict[str, Any]) -> Sections:
    """`params` with other values for some keys: `changed(params, train={"seed": 4})`."""
    return {name: keys | sections.get(name, {}) for name, keys in params.items()}


class Workspace:
    """A folder in `root` for `params`.

    Its name is a digest of the params, the data's files and the code. A stage that has run there does not run
    again. One that was killed resumes.

    Raises:
        InputError: the params are not valid. They stay in `root`, where the error names them.
    """

    def __init__(self, params: Sections, root: Path):
        root.mkdir(parents=True, exist_ok=True)
        file = root / f"params-{os.getpid()}.yaml"  # another process may work in `root`
        file.write_text(yaml.safe_dump(params), encoding="utf-8")
        checked = load_params(*SECTIONS, path=file)
        data = [some.path for some in (checked.dataset, checked.model) if some.source == "local"]
        sections = [getattr(checked, name) for name in SECTIONS if name != "runtime"]
        self.folder = root / input_digest(["."], sections, [_PROJECT / "stages", *data])[:16]
        self.folder.mkdir(exist_ok=True)
        file.replace(self.folder / "params.yaml")

    def run(self, *stages: str) -> None:
        """Run those of `stages` that have not run here yet, in order.

        Raises:
            SystemExit: a stage failed. It has said why.
        """
        for stage in stages:
            if self.has_run(stage):
                continue
            script, *arguments = COMMANDS[stage]
            command = [sys.executable, str(_PROJECT / "stages" / script), *arguments]
            status = subprocess.run(command, cwd=self.folder).returncode
            if status:
                raise SystemExit(status)

    def take(self, other: "Workspace", stages: tuple[str, ...], files: tuple[str, ...]) -> None:
        """Copy `files` and folders that `stages` wrote in `other`, as if the stages had run here."""
        if other.folder == self.folder:
            return
        for name in (*files, *(f"runs/{stage}.json" for stage in stages)):
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (other.folder / name).is_dir():
                shutil.copytree(other.folder / name, target, dirs_exist_ok=True)
            else:
                shutil.copy(other.folder / name, target)

    def has_run(self, *stages: str) -> bool:
        """Whether all of `stages` have finished here."""
        return all(self._note(stage).exists() for stage in stages)

    def measured(self, stage: str) -> dict[str, Any]:
        """What a finished stage measured: seconds, memory, machine."""
        return read_metrics(self._note(stage))

    def matches(self, name: str) -> list[bool]:
        """For each row of predictions/NAME.jsonl, whether it is an exact match."""
        rows = read_predictions(self.folder / f"predictions/{name}.jsonl")
        return [exact_match(row.reference, row.prediction) for row in rows]

    def _note(self, stage: str) -> Path:
        return self.folder / f"runs/{stage}.json"
