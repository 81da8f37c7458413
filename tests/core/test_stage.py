import json
import os
import signal
import time

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import atomic_write
from viggo_pipe.core.stage import run_stage


def test_a_stage_returns_its_status_and_records_its_cost(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def bad():
        raise InputError("what, where, what to do")

    def interrupted():
        raise KeyboardInterrupt

    assert run_stage("good", lambda: {"tokens_per_second": 5}) == 0
    cost = json.loads((tmp_path / "runs/good.json").read_text())
    assert (
        cost.keys() == {"seconds", "peak_memory_mib", "tokens_per_second", "machine"}
        and cost["peak_memory_mib"] > 1
    )
    assert run_stage("bad", bad) == 2
    assert capsys.readouterr().err == "bad: what, where, what to do\n"
    assert run_stage("interrupted", interrupted) == 130
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["good.json"]


def test_kill_is_ctrl_c(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def main():
        with atomic_write("out"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

    assert run_stage("train", main) == 130
    assert list(tmp_path.iterdir()) == [] and capsys.readouterr().err.count("\n") == 1
