"""Scratch folders that outlive a killed stage: the next run of the same stage on the same inputs goes on where it stopped.

They lie under runs/, which git ignores and DVC does not know: DVC deletes outs before a run, and a persistent out would be
resumed on other inputs too (dvc#10412).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel

from viggo_pipe.errors import InputError

_FOLDER = Path("runs/resume")
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "llguidance")


def input_digest(sections: Iterable[BaseModel], files: Iterable[str | Path], texts: Iterable[str] = ()) -> str:
    """A digest of all that a stage's result depends on: params, inputs, this library's code, and its libraries' versions.

    `files` may name folders, of which every file counts; `texts` are inputs that stand in no file.
    """
    digest = hashlib.sha256()
    for section in sections:
        digest.update(f"{type(section).__name__} {section.model_dump_json()}\n".encode())
    for text in texts:
        digest.update(f"{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
    for package in _PACKAGES:
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    for path in [*map(Path, files), Path(__file__).parent]:
        for file in sorted(path.rglob("*.py" if path == Path(__file__).parent else "*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.name} {_sha256(file)}\n".encode())
    return digest.hexdigest()


@contextmanager
def resumable(stage: str, digest: str) -> Iterator[Path]:
    """Yield the scratch folder of `stage` on the inputs with `digest`; it is deleted when the block ends without error.

    What earlier runs on other inputs left is deleted at once: it can never be resumed.

    Raises:
        InputError: another process is at this stage in this project, such as one that outlived its `dvc repro`.
    """
    folder = _FOLDER / f"{stage}-{digest[:16]}"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    owner = _FOLDER / f"{stage}.pid"
    try:
        lock = FileLock(_FOLDER / f"{stage}.lock").acquire(timeout=0)
    except Timeout:
        pid = owner.read_text(encoding="utf-8") if owner.exists() else "unknown"
        raise InputError(
            f"process {pid} is already at this stage, here; wait for it, or stop it (kill {pid}) and run again: it will go on "
            "from there"
        ) from None
    with lock:
        owner.write_text(str(os.getpid()), encoding="utf-8")
        for other in _FOLDER.glob(f"{stage}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
        owner.unlink(missing_ok=True)


def mark_complete(folder: Path) -> None:
    """Put every file of `folder` on the disk, and then a mark with the sha256 of each.

    A folder that has it was not cut off, even by a power loss, and what is damaged later is found.
    """
    sums = _checksums(folder)
    for path in folder.rglob("*"):
        _sync(path)
    mark = folder / _MARK
    mark.write_text(json.dumps(sums, indent=2, sort_keys=True), encoding="utf-8")
    _sync(mark)
    _sync(folder)


def is_complete(folder: Path) -> bool:
    """Whether `mark_complete` came to its end, and the files are still those of then."""
    try:
        return json.loads((folder / _MARK).read_bytes()) == _checksums(folder)
    except (OSError, ValueError):  # no mark, half of one, or a file that the disk does not give back
        return False


_MARK = "complete"


def _checksums(folder: Path) -> dict[str, str]:
    """The sha256 of each file of `folder`, by its path in there; the mark is none of them."""
    files = [path for path in folder.rglob("*") if path.is_file() and path != folder / _MARK]
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Journal:
    """Numbered texts, each on the disk as soon as it was added.

    Each line begins with a checksum of the rest: when the journal is read again, a line that was cut off or damaged is left
    out, and what follows it.
    """

    def __init__(self, path: Path):
        self.entries: dict[int, str] = {}
        whole = b""
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            checksum, _, entry = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != _line_checksum(entry):
                break
            number, text = json.loads(entry)
            self.entries[number] = text
            whole += line
        self._file = open(path, "wb")  # noqa: SIM115 (closed by __exit__)
        self._file.write(whole)
        self._flush()

    def add(self, entries: dict[int, str]) -> None:
        """Add `entries` and wait until they are on the disk."""
        self.entries |= entries
        for entry in entries.items():
            line = json.dumps(entry).encode()
            self._file.write(_line_checksum(line) + b" " + line + b"\n")
        self._flush()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _line_checksum(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest()[:16].encode()
