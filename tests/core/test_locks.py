import errno
import fcntl
import os
import subprocess
import sys

import pytest
from helpers.imports import ROOT
from helpers.permissions import obeying_permissions, read_only

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.locks import file_lock
from viggo_pipe.core.resume import resumable

HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from viggo_pipe.core.locks import file_lock
with file_lock(Path("lock"), "", lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def locked(path, on_held=lambda: pytest.fail("held")):
    with file_lock(path, "use another disk", on_held):
        return True


def test_a_held_lock_is_said_and_waited_for(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(ROOT / "src")],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        assert locked(tmp_path / "lock", on_held=process.kill)  # a dead one holds nothing
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL, errno.EIO])
def test_a_file_system_without_locks_is_named_at_once(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError) as raised:
        locked(tmp_path / "lock")
    assert str(raised.value) == f"cannot lock {tmp_path}/lock ({os.strerror(number)}); use another disk"
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(InputError, match=r"^cannot lock runs/resume/train\.lock .*; put the project"),
        resumable("train", "abc"),
    ):
        pass


def test_a_lock_of_another_user_can_be_taken(tmp_path):
    (tmp_path / "lock").touch(0o444)
    with obeying_permissions():
        assert locked(tmp_path / "lock")


def test_where_no_lock_can_be_made_is_said(tmp_path):
    (tmp_path / "cache").mkdir()
    with read_only(tmp_path / "cache"):
        for path in ("cache/lock", "cache/deep/lock"):
            with pytest.raises(InputError, match=rf"cannot write .*{path}: Permission denied"):
                locked(tmp_path / path)
