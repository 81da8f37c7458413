"""Disks, clocks, folders and users that are not as a run would like them."""

import contextlib
import os
import shutil
import subprocess
import time

from helpers.project import FLOW

from faults.workspace import NOBODY, NewWorkspace, resumed_from


def full_disk(new: NewWorkspace) -> tuple[str, str]:
    """The disk full while a checkpoint is saved, and while the adapter is written (a file system of 700
    KiB)
    """
    if os.geteuid():
        return "not run: it needs root, to mount a small file system", ""
    work, found = new("disk"), []
    work.run_all()
    expected = work.digests()
    for place in ("runs", "models"):
        shutil.rmtree(work.folder / place)
        (work.folder / place).mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", work.folder / place], check=True)
        try:
            with (
                open(work.folder / place / "ballast", "wb", buffering=0) as ballast,
                contextlib.suppress(OSError),
            ):
                while (
                    place == "models" or ballast.tell() < 660 * 1024
                ):  # a checkpoint begins well, and does not end
                    ballast.write(bytes(1024))
            status = work.run("train_lora.py")
            assert status == 2, f"{status}: {work.said}"
            line = work.said.strip().splitlines()[-1]
            assert "space" in line, line
            found.append(line.split(": ", 1)[1])
            assert not work.half_written()
        finally:
            subprocess.run(["umount", work.folder / place], check=True)
        work.run_all(FLOW[2:])
        assert work.digests() == expected
    return (
        "once each",
        f'nothing: exit 2, "{found[0].split(";")[0][:70]}...", nothing half-written, and after making room '
        "the same bytes",
    )


def read_only(new: NewWorkspace) -> tuple[str, str]:
    """Outs' folders that may not be written to"""
    if os.geteuid():
        return "not run: it needs root, to run a stage as another user", ""
    work = new("read-only")
    work.run_all(FLOW[:5])
    for call, place in (
        ("fetch_dataset.py", "data/raw"),
        ("train_lora.py", "models"),
        ("predict.py tuned", "predictions"),
    ):
        work.hand_over()
        (work.folder / place).chmod(0o555)
        before = work.digests()
        assert (
            work.wait(work.start(call, NOBODY)) == 2 and work.said.strip().splitlines()[-1].count(place) >= 1
        ), work.said
        (work.folder / place).chmod(0o755)
        assert work.digests() == before
    return (
        "three stages",
        "nothing: exit 2 with one line that names the folder; the outs that were there are untouched",
    )


def clock_jumps(new: NewWorkspace) -> tuple[str, str]:
    """The clock jumps: every file's time ten years ahead, then ten years back; a checkpoint from the
    future
    """
    work = new("clock")
    work.make_repository()
    work.repro()
    for years in (10, -10):
        moment = time.time() + years * 365 * 86400
        for path in work.folder.rglob("*"):
            if path.is_file() and ".git" not in path.parts and ".dvc" not in path.parts:
                os.utime(path, (moment, moment))
        assert "Running stage" not in work.repro()
    expected = work.digests()
    other = new("clock-checkpoint")
    other.stop_training_at_a_checkpoint()
    for path in other.folder.glob("runs/**/*"):
        os.utime(path, (2**31, 2**31))
    assert other.run("train_lora.py") == 0 and resumed_from(other.said), other.said
    other.run_all(FLOW[3:])
    assert other.digests() == expected
    return "three times", "nothing: no stage ran again, and training went on from the checkpoint"


def odd_paths(new: NewWorkspace) -> tuple[str, str]:
    """A project in a folder with spaces, quotes and non-ASCII letters"""
    plain, odd = new("plain"), new("Spiele „für“ alle/it's 100 % 宝可梦")
    for work in (plain, odd):
        work.run_all()
    assert odd.digests() == plain.digests()
    return "every stage", "0 bytes differ from those of a plain folder"


def another_user(new: NewWorkspace) -> tuple[str, str]:
    """Another user runs the pipeline"""
    if os.geteuid():
        return "not run: it needs root, to run a stage as another user", ""
    mine, theirs = new("mine"), new("theirs")
    mine.run_all()
    theirs.hand_over()
    for call in FLOW:
        assert theirs.wait(theirs.start(call, NOBODY)) == 0, theirs.said
    assert theirs.digests() == mine.digests()
    return "every stage", "0 bytes differ"
