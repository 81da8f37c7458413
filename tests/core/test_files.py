import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_what_killed_writers_left_is_cleared_away(tmp_path):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout.strip()
    for name in (f".file.txt.{gone}.partial", f".folder.{gone}.old", f".folder.{gone}.partial"):
        (tmp_path / name).mkdir() if "folder" in name else (tmp_path / name).write_text("half")
    others = {f".file.txt.{os.getppid()}.partial", f".other.txt.{gone}.partial", ".file.txt.notes"}
    for name in others:
        (tmp_path / name).write_text("kept: of a living process, of another file, or no such thing")
    with atomic_write(tmp_path / "file.txt") as file:
        file.write("a")
    with atomic_folder(tmp_path / "folder"):
        pass
    assert entries(tmp_path) == {"file.txt", "folder", *others}


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
