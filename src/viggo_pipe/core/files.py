"""Writing files and folders so that a reader sees either the whole new content or none of it."""

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from viggo_pipe.core.errors import InputError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
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
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    encoding, newline = ("utf-8", "\n") if mode == "w" else (None, None)
    with explaining_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(path)
        try:
            with open(partial, mode, encoding=encoding, newline=newline) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder to fill. It takes the place of `path` when the block ends without error.

    Raises:
        InputError: there is no space left, or the parent folder cannot be written to.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with explaining_full_disk(path):
        partial.mkdir(parents=True)
        _clear_leftovers(path)
        try:
            yield partial
            _replace_folder(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _clear_leftovers(path: Path) -> None:
    """Delete what killed processes have left beside `path` in the middle of writing it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        process, kind = left.name.removeprefix(f".{path.name}.").partition(".")[::2]
        if kind in {"partial", "old"} and process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _replace_folder(new: Path, path: Path) -> None:
    """Put `new` in the place of `path` by renaming alone.

    A kill can leave the old one under another name, but not half of it.
    """
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
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
