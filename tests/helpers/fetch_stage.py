"""Runs stages/fetch_dataset.py, as a process, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[2]
SPLITS = ("train", "validation", "test")
REVISION = "93e5029f04770d863000dbe491a6a51c3b7fa1ee"
# The sha256 of the three files that GEM/viggo holds at that commit.
PUBLISHED = {
    "train": "39d4bf7ef5b7b78c1c137d05d461e779884ad08cf53e0ee6cf63c3653c5f8aae",
    "validation": "c4d4b3b5075d84c1645cccd678e665e0d2a40226e3e9a383270a5c666006adbc",
    "test": "020f24199655b4c6f9246123263d2c6d3ea01189046150153dcc6cf8b914037a",
}
DATASET = {
    "source": "local",
    "repo": "GEM/viggo",
    "revision": REVISION,
    "path": "data/local",
    "sha256": dict.fromkeys(SPLITS),
    "sample": {"train": 12, "validation": 4, "test": 4, "seed": 0},
    "train_share": 1.0,
    "train_share_seed": 0,
}


def run_fetch(folder: Path, dataset: dict, **environment: str) -> subprocess.CompletedProcess:
    """Run the stage in `folder` with these keys of section dataset."""
    # The loader checks the whole file; the stage reads this section alone.
    params = yaml.safe_load((PROJECT / "profiles/quickstart.yaml").read_text(encoding="utf-8"))
    params["dataset"] = DATASET | dataset
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(PROJECT / "stages" / "fetch_dataset.py")],
        cwd=folder,
        env=hub_free_environment(folder) | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def hub_free_environment(folder: Path) -> dict[str, str]:
    """Our environment without its Hub settings and login, and with a Hub cache of its own in `folder`."""
    theirs = ("HF_", "HUGGING", "TRANSFORMERS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    ours = {"PYTHONPATH": str(PROJECT / "src"), "HF_HOME": str(folder / "hf"), "NO_PROXY": "127.0.0.1"}
    # Telemetry would ask the server for more than the files, and wait for its answer.
    return kept | ours | {"HF_HUB_DISABLE_TELEMETRY": "1"}


def succeeded(done: subprocess.CompletedProcess) -> bool:
    """Exit status 0 and not a word on stderr."""
    return (done.returncode, done.stderr) == (0, "")


def refused(done: subprocess.CompletedProcess, folder: Path) -> str:
    """The one line on stderr of a run that found bad input and left nothing behind in data/raw."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("fetch: "), done.stderr
    assert list((folder / "data/raw").glob("*")) + list((folder / "data/raw").glob(".*")) == []
    return done.stderr


def raw_rows(folder: Path, split: str) -> list[dict]:
    """The rows that the stage wrote."""
    text = (folder / "data/raw" / f"{split}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n")[:-1]]
