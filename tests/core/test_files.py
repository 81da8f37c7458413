import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.imports import ROOT

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import atomic_folder, atomic_write


def entries(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with atomic_write(target) as file:
        file.write("a\n")
        assert not target.exists()
    assert target.read_bytes() == b"a\n"
    assert entries(target.parent) == {"file.txt"}


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "file.txt").write_text("old")
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "file.txt") as file:
        file.write("half")
        raise RuntimeError
    assert (tmp_path / "file.txt").read_text() == "old"
    assert entries(tmp_path) == {"file.txt"}


WRITER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from viggo_pipe.core.files import atomic_folder, atomic_write
with atomic_write("file.txt") as file, atomic_folder("folder"):
    print("writes", flush=True)
    time.sleep(60)
"""


def test_what_killed_writers_left_is_cleared_away_and_a_living_ones_stays(tmp_path):
    def partials():
        return {path for path in tmp_path.iterdir() if path.name.endswith((".partial", ".old"))}

    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(ROOT / "src")], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "writes\n"
        living = partials()
        assert len(living) == 2
        write_both(tmp_path)
        assert partials() == living
    finally:
        process.kill()
        process.communicate()
    # Of a process that had this one's number, in another container; and of another file, or no such thing.
    (tmp_path / f".file.txt.{os.getpid()}.partial").write_text("half")
    (tmp_path / f".folder.{os.getpid()}.partial").mkdir()
    (tmp_path / f".folder.{os.getpid()}.old").mkdir()
    others = {f".other.txt.{os.getpid()}.partial", ".file.txt.notes", ".folder.mine.old"}
    for name in others:
        (tmp_path / name).touch()
    write_both(tmp_path)
    assert entries(tmp_path) == {"file.txt", "folder", *others}


def write_both(folder):
    with atomic_write(folder / "file.txt") as file:
        file.write("a")
    with atomic_folder(folder / "folder") as partial:
        (partial / "a").write_text("a")


def test_without_locks_nothing_counts_as_left_over(tmp_path, monkeypatch):
    """Whether its writer lives cannot be known."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".folder.1.partial").mkdir()
    write_both(tmp_path)
    assert entries(tmp_path) == {"file.txt", "folder", ".folder.1.partial"}


def test_what_another_process_took_for_left_over_is_made_again(tmp_path, monkeypatch):
    original, calls = fcntl.flock, iter((True, False))

    def late(*given):
        if next(calls, False):
            for path in tmp_path.iterdir():
                path.unlink()
        return original(*given)

    monkeypatch.setattr(fcntl, "flock", late)
    with atomic_write(tmp_path / "file.txt") as file:
        file.write("a")
    assert entries(tmp_path) == {"file.txt"}


def test_all_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def noted(descriptor):
        done.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def moved(source, target):
        done.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", moved)
    with atomic_folder(tmp_path / "folder") as partial:
        (partial / "inner").mkdir()
        (partial / "inner/deep").write_text("a")
        (partial / "flat").write_text("a")
    written = {path.stat().st_ino for path in (tmp_path / "folder").rglob("*")}
    assert done[-1] == "folder" and written <= set(done[:-1])
    with atomic_write(tmp_path / "file.txt") as file:
        file.write("a")
    assert done[-2:] == [(tmp_path / "file.txt").stat().st_ino, "file.txt"]


def test_a_folder_replaces_the_old_one_or_nothing(tmp_path):
    folder = tmp_path / "folder"
    with atomic_folder(folder) as partial:
        (partial / "one").write_text("1")
    with atomic_folder(folder) as partial:
        (partial / "two").write_text("2")
    assert entries(folder) == {"two"}
    with pytest.raises(RuntimeError), atomic_folder(folder) as partial:
        (partial / "three").write_text("3")
        raise RuntimeError
    assert entries(folder) == {"two"}
    assert entries(tmp_path) == {"folder"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_bad_luck_in_one_line(tmp_path, number):
    with pytest.raises(InputError, match=r"no space left.*file\.txt"), atomic_write(tmp_path / "file.txt"):
        raise OSError(number, os.strerror(number))
    assert entries(tmp_path) == set()


def test_a_folder_that_cannot_be_replaced_is_left_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/old").write_text("old")
    replace = os.replace

    def busy(source, target):
        if Path(target).name == "adapter" and "partial" in Path(source).name:
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    with (
        pytest.raises(InputError, match=r"cannot write .*adapter"),
        atomic_folder(tmp_path / "adapter") as partial,
    ):
        (partial / "new").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert (tmp_path / "adapter/old").read_text() == "old"


def test_a_file_in_a_folders_place_is_named(tmp_path):
    (tmp_path / "metrics").write_text("")
    with pytest.raises(InputError, match="cannot write"), atomic_write(tmp_path / "metrics/base.json"):
        pass
