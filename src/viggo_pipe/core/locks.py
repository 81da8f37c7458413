"""Locks between processes, by flock. They end with the process that holds them, however it ends."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import explaining_full_disk, try_lock


@contextmanager
def file_lock(path: Path, elsewhere: str, on_held: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the file `path` in the block. The file is made, and stays.

    Args:
        elsewhere: what to do where the file system has no locks.
        on_held: called where another process holds the lock. It raises, or the lock is waited for.

    Raises:
        InputError: the file cannot be made, or the file system has no locks.
    """
    with explaining_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _open(path)
    try:
        try:
            if not try_lock(descriptor):
                on_held()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise InputError(f"cannot lock {path} ({error.strerror}); {elsewhere}") from error
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY)  # another user's
