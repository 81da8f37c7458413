"""Stages and DVC stopped at any moment."""

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import yaml
from helpers.project import FLOW

from faults.workspace import NewWorkspace, Workspace, resumed_from

KILLS = 100
MOMENTS = 4
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def kills(new: NewWorkspace) -> tuple[str, str]:
    """Stages killed at random moments, by SIGKILL, SIGTERM and SIGINT in turn, and run again"""
    work, chance = new("kills"), random.Random(0)
    seconds = work.run_all()
    expected, killed, completed = work.digests(), 0, 0
    while killed < KILLS:
        work.clear()
        for call in FLOW:
            # Long stages are hit several times before they may end: a short one that always ends first
            # teaches nothing.
            for _ in range(1 + int(4 * seconds[call] / max(seconds.values()))):
                pid = work.start(call)
                time.sleep(chance.uniform(0, 0.9 * seconds[call]))
                number = SIGNALS[killed % len(SIGNALS)]
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)
                status = work.wait(pid)
                assert status in {0, 130, -number}, f"{call}: {status}: {work.said}"
                killed += status != 0
            if status != 0:
                work.run_all((call,))
        assert work.digests() == expected, "other bytes than without a kill"
        assert not work.half_written()
        completed += 1
        print(f"{killed} kills", flush=True)
    return (
        f"{killed} kills over {completed} runs of the pipeline",
        "0 bytes differ from a run that was left alone",
    )


def repro_killed(new: NewWorkspace) -> tuple[str, str]:
    """The whole process group of `dvc repro` killed, as at a power loss, while it trains"""
    work, steps = new("repro-killed"), []
    work.make_repository()
    work.repro()
    expected = work.digests()
    for _ in range(3):
        shutil.rmtree(work.folder / "models")
        process = work.dvc("repro", "--force", "--single-item", "train")
        while not work.checkpoints():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        said = work.dvc("repro", "--force", "--single-item", "train").communicate()[0]
        steps.append(int(resumed_from(said)))
        assert work.digests() == expected
    assert "Running stage" not in work.repro()
    return "3 times", f"0 bytes differ; training went on from steps {', '.join(map(str, steps))} of 60"


def killed_before_the_lock(new: NewWorkspace) -> tuple[str, str]:
    """`dvc repro` killed when the training has ended, but dvc.lock does not know yet"""
    plain = new("lock-plain")
    plain.run_all()
    for way_out in (False, True):
        work = new(f"lock-{way_out}")
        work.make_repository()
        process = work.dvc("repro")
        while not (work.folder / "runs/train.json").exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert "train" not in locked_stages(work)
        if way_out:
            said = work.dvc("commit", "--force", "train").communicate()[0]
            assert "train" in locked_stages(work), said
        assert ("Running stage 'train'" in work.repro()) != way_out
        assert work.digests() == plain.digests()
    return (
        "twice",
        "that stage: DVC runs it again; after `dvc commit --force train` it does not. 0 bytes differ",
    )


def locked_stages(work: Workspace) -> dict:
    return yaml.safe_load((work.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def survivor(new: NewWorkspace) -> tuple[str, str]:
    """A trainer still at work, as one that has outlived a killed `dvc`, and `dvc repro` again"""
    work = new("survivor")
    work.make_repository()
    work.repro()
    expected = work.digests()
    work.project.set(runtime={"save_steps": 1})
    shutil.rmtree(work.folder / "models")
    pid = work.start("train_lora.py")
    while not work.checkpoints():
        time.sleep(0.005)
    os.kill(pid, signal.SIGSTOP)
    process = work.dvc("repro", "--force", "--single-item", "train")
    said = process.communicate()[0]
    assert process.returncode != 0 and f"process {pid} is already at this stage" in said, said
    os.kill(pid, signal.SIGCONT)
    assert work.wait(pid) == 0
    assert work.digests() == expected
    return (
        "once",
        f'nothing: the second one stopped ("process {pid} is already at this stage"), the first ended as '
        "ever",
    )


def two_at_once(new: NewWorkspace) -> tuple[str, str]:
    """Two `dvc repro` at once"""
    work = new("two")
    work.make_repository()
    processes = [work.dvc("repro") for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes[0] == 0, said
    assert "Running stage" not in work.repro()
    plain = new("two-plain")
    plain.run_all()
    assert work.digests() == plain.digests()
    refused = next(
        (line for text in said for line in text.splitlines() if line.startswith("ERROR")), "both ended well"
    )
    return (
        "once",
        "nothing: the outs are those of one run; the second was told "
        f'"{refused.replace(f"{work.folder}/", "")[:90]}"',
    )


def ctrl_c(new: NewWorkspace) -> tuple[str, str]:
    """Ctrl-C at each stage, in its middle"""
    work = new("ctrl-c")
    seconds = work.run_all()
    expected = work.digests()
    work.clear()
    stopped = 0
    for call in FLOW:
        pid = work.start(call)
        time.sleep(0.5 * seconds[call])
        os.killpg(pid, signal.SIGINT)
        status = work.wait(pid)
        assert status in {0, 130} and not work.half_written(), f"{call}: {status}: {work.said}"
        assert "Traceback" not in work.said, work.said
        stopped += status == 130
        assert work.run(call) == 0
    assert work.digests() == expected
    return (
        f"{len(FLOW)} stages, of which {stopped} were still running",
        "0 bytes differ; exit 130, nothing half-written",
    )


def ctrl_c_while_importing(new: NewWorkspace) -> tuple[str, str]:
    """Ctrl-C, and `kill`, while a stage or `viggo` still imports its libraries"""
    work, chance, stopped = new("importing"), random.Random(0), 0
    commands = [[sys.executable, *f"stages/{call}".split()] for call in FLOW]
    commands.append([sys.executable, str(Path(sys.executable).parent / "viggo"), "parse", "Doom."])
    for command in commands:
        started = time.perf_counter()
        work.begin(
            *command
        ).communicate()  # ends for want of inputs, when all is imported; the stage fetch needs none
        seconds = time.perf_counter() - started
        for attempt in range(MOMENTS):
            process = work.begin(*command)
            while not listens(process.pid):
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.9 * seconds))
            number = (signal.SIGINT, signal.SIGTERM)[attempt % 2]
            process.send_signal(number)
            said = process.communicate()[1]
            # One that had ended when the signal came may still have been about to free its memory.
            assert process.returncode in {0, 2, 130, -number}, f"{process.returncode}: {said}"
            assert said.count("\n") <= 1 and "Traceback" not in said, said
            stopped += process.returncode == 130
        work.clear()
    return (
        f"{len(commands)} commands, {MOMENTS} times each, of which {stopped} were still running",
        "nothing: exit 130 and one line, no traceback",
    )


def listens(pid: int) -> bool:
    """Whether a process has come to the first line of its script, which has it handle SIGTERM, as Python
    alone does not.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return True
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), None)
    return caught is None or bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
