"""Writing files and folders so that a reader sees either the whole new content or none of it."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from viggo_pipe.core.errors import InputError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # of a disk, a quota, and `ulimit -f`
# safetensors and torch wrap the system's error in their own, which have its words, or not even those.
_NO_SPACE_WORDS = ("No space left on device", "PytorchStreamWriter failed", "inline_container.cc")
_NOT_WRITABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ENOENT),
}


@overload
def atomic_write(path: str | Path, mode: Literal["w"] = "w") -> AbstractContextManager[TextIO]: ...
@overload
def atomic_write(path: str | Path, mode: Literal["wb"]) -> AbstractContextManager[BinaryIO]: ...
@contextmanager
def atomic_write(path: str | Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open `path` for writing. It appears, complete, when the block ends; not at all if the block raises.

    Text is UTF-8 with "\\n" line ends on every platform: the same content is the same bytes everywhere.

    Raises:
        InputError: there is no space left, or the folder cannot be written to.
    """
    path = Path(path)
    encoding, newline = ("utf-8", "\n") if mode == "w" else (None, None)
    with explaining_full_disk(path), _partial(path, Path.touch) as partial:
        with open(partial, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder to fill. It takes the place of `path` when the block ends without error.

    Raises:
        InputError: there is no space left, or the parent folder cannot be written to.
    """
    path = Path(path)
    with explaining_full_disk(path), _partial(path, Path.mkdir) as partial:
        yield partial
        for file in partial.rglob("*"):
            sync(file)
        _replace_folder(partial, path)


@contextmanager
def _partial(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make a new file or folder beside `path`, to take its place. It is deleted if the block leaves it there.

    It is locked as long as this process writes it. So a left-over is known by its lock, which nobody holds.
    A process's number would not do: in containers it is the same each time, and other ones' are not seen.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(path)
    partial, descriptor = _make_locked(path, make)
    try:
        yield partial
    finally:
        _delete(partial)
        os.close(descriptor)


def _make_locked(path: Path, make: Callable[[Path], None]) -> tuple[Path, int]:
    """The new file or folder, and the descriptor that holds its lock."""
    while True:
        partial = _beside(path, "partial")
        make(partial)
        descriptor = os.open(partial, os.O_RDONLY)
        with contextlib.suppress(OSError):  # without locks nothing counts as left over
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if partial.exists():
            return partial, descriptor
        os.close(descriptor)  # another process took it for left over before it was locked


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{kind}")


def _clear_leftovers(path: Path) -> None:
    """Delete what killed processes have left beside `path` in the middle of writing it."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]+\.(partial|old)")
    for left in [left for left in path.parent.iterdir() if name.fullmatch(left.name)]:
        with contextlib.suppress(OSError):  # somebody else's, or without locks
            descriptor = os.open(left, os.O_RDONLY)
            try:
                if try_lock(descriptor):
                    _delete(left)
            finally:
                os.close(descriptor)


def _delete(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file until it is closed; return whether no other process has it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync(path: Path) -> None:
    """Wait until a file or a folder's list is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace_folder(new: Path, path: Path) -> None:
    """Put `new` in the place of `path` by renaming alone.

    A kill can leave the old one under another name, but not half of it.
    """
    old = _beside(path, "old")
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def explaining_full_disk(path: Path) -> Iterator[None]:
    """Turn what a full or read-only disk raises into an InputError that names `path`, which is written."""
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in _NO_SPACE or any(words in str(error) for words in _NO_SPACE_WORDS):
            raise InputError(
                f"no space left to write {path}: free some and run again; it is as it was before"
            ) from error
        if isinstance(error, OSError) and number in _NOT_WRITABLE:
            raise InputError(
                f"cannot write {path}: {error.strerror}; check what lies there, and its permissions"
            ) from error
        raise
