"""Checksums of files and folders, and a mark that a folder was written to its end."""

import hashlib
import json
from pathlib import Path

from viggo_pipe.core.files import sync

_MARK = "complete"


def sha256_of(*paths: Path) -> str:
    """The sha256 of the files' contents, one after the other, in hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def mark_complete(folder: Path) -> None:
    """Put every file of `folder` on the disk, and then a mark with the sha256 of each.

    A folder that has it was not cut off, even by a power loss, and what is damaged later is found.
    """
    sums = _checksums(folder)
    for path in folder.rglob("*"):
        sync(path)
    mark = folder / _MARK
    mark.write_text(json.dumps(sums, indent=2, sort_keys=True), encoding="utf-8")
    sync(mark)
    sync(folder)


def is_complete(folder: Path) -> bool:
    """Whether `mark_complete` came to its end, and the files are still those of then."""
    try:
        return json.loads((folder / _MARK).read_bytes()) == _checksums(folder)
    except (OSError, ValueError):  # no mark, half of one, or a file that the disk does not give back
        return False


def _checksums(folder: Path) -> dict[str, str]:
    """The sha256 of each file of `folder`, by its path in there; the mark is none of them."""
    files = [path for path in folder.rglob("*") if path.is_file() and path != folder / _MARK]
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
