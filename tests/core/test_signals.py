"""Ctrl-C ends every command with one line and status 130, also while it still imports the libraries."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.imports import ROOT
from helpers.project import FLOW, Project

from viggo_pipe.core.signals import Interruptible
from viggo_pipe.core.stage import run_stage

VIGGO = str(Path(sys.executable).parent / "viggo")
# How many imports to pass over, and a command. The first one to import a library imports all of it; the next
# ones import little more than this project.
COMMANDS = [
    (1, f"{VIGGO} --help"),
    (5, "stages/fetch_dataset.py"),
    (5, "stages/report.py"),
    (200, "stages/tokenize_dataset.py"),
    (200, "stages/train_lora.py"),
    (5, "stages/predict.py base"),
    (5, "stages/predict.py tuned"),
    (5, "stages/predict_robustness.py"),
    (20, "stages/score.py"),
    (5, f"{VIGGO} parse Doom."),
    (3, f"{VIGGO} use quickstart"),  # last: it overwrites params.yaml
]


@pytest.mark.slow
def test_ctrl_c_while_a_command_imports(tmp_path):
    """In a project without outs or model: all end at once, when all is imported, but for the first stage."""
    project = Project(tmp_path)
    project.set(
        dataset={"sample": {"train": 12, "validation": 2, "test": 2, "seed": 0}},
        model={"source": "local", "path": "nowhere", "sha256": None},
    )
    commands = [[every, *command.split()] for every, command in COMMANDS]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/helpers/interrupted_imports.py"), json.dumps(commands)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    for (_, command), tried in zip(COMMANDS, found, strict=True):
        assert tried["wrong"] == [], command
        assert tried["moments"] >= 5, command
    assert sum(tried["moments"] for tried in found) >= 100


def test_every_stage_is_among_the_commands():
    assert {f"stages/{call}" for call in FLOW} <= {command for _, command in COMMANDS}


def test_an_error_after_ctrl_c_is_taken_for_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def main():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            raise ValueError("what a library makes of it") from None

    assert run_stage("train", main) == 130
    assert capsys.readouterr().err == "train: interrupted, and nothing is half-written; run again to go on\n"


def test_signals_do_afterwards_what_they_did_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyError), Interruptible():
        assert signal.getsignal(signal.SIGTERM) != before[1]
        raise KeyError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_ignored_signal_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell has it for what runs in the background
    try:
        with Interruptible():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
