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
                digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
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
    """Put every file of `folder` on the disk, and then a mark: one that has it was not cut off, even by a power loss."""
    for path in folder.iterdir():
        _sync(path)
    mark = folder / _MARK
    mark.touch()
    _sync(mark)
    _sync(folder)


def is_complete(folder: Path) -> bool:
    """Whether `mark_complete` came to its end."""
    return (folder / _MARK).exists()


_MARK = "complete"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Journal:
    """Numbered texts, each on the disk as soon as it was added; what a kill cut off is left out when it is read again."""

    def __init__(self, path: Path):
        self.entries: dict[int, str] = {}
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            number, text = json.loads(line)
            self.entries[number] = text
        self._file = open(path, "wb")  # noqa: SIM115 (closed by __exit__)
        self._file.write(whole)
        self._flush()

    def add(self, entries: dict[int, str]) -> None:
        """Add `entries` and wait until they are on the disk."""
        self.entries |= entries
        self._file.write("".join(f"{json.dumps(entry)}\n" for entry in entries.items()).encode())
        self._flush()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
