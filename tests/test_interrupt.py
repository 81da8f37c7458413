"""Ctrl-C ends every command with one line and status 130, also while it still imports the libraries."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from imports import ROOT
from project import FLOW, Project

from viggo_pipe.interrupt import Interruptible
from viggo_pipe.stage import run_stage

IMPORTING_TORCH = ("tokenize_dataset.py", "train_lora.py", "predict.py base", "predict.py tuned", "predict_probes.py")


def wrong_at_imports(folder: Path, every: int, *command: str) -> tuple[int, list]:
    """Try Ctrl-C at each `every`-th import of a script in a project without outs: how often, and what then went wrong."""
    Project(folder)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/interrupted_imports.py"), str(every), *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return found["moments"], found["wrong"]


@pytest.mark.slow
@pytest.mark.parametrize("call", FLOW)
def test_ctrl_c_while_a_stage_imports(tmp_path, call):
    moments, wrong = wrong_at_imports(tmp_path, 100 if call in IMPORTING_TORCH else 5, *f"stages/{call}".split())
    assert moments > 10 and wrong == []


@pytest.mark.slow
def test_ctrl_c_while_viggo_imports(tmp_path):
    command = str(Path(sys.executable).parent / "viggo")
    for every, arguments in ((1, ["--help"]), (5, ["use", "quickstart"]), (100, ["parse", "Doom."])):
        moments, wrong = wrong_at_imports(tmp_path / arguments[0], every, command, *arguments)
        assert moments > 10 and wrong == []


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
