"""A journal of answers: what was added is on the disk at once, and damage is found when it is read again."""

import hashlib
import json
import os
from pathlib import Path


class Journal:
    """Numbered texts, each on the disk as soon as it was added.

    Each line begins with a checksum of the rest: when the journal is read again, a line that was cut off or
    damaged is left out, and what follows it.
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

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _line_checksum(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest()[:16].encode()
