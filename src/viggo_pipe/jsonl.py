"""JSON Lines: one JSON object a line, UTF-8."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from viggo_pipe.errors import InputError
from viggo_pipe.files import atomic_write


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """Yield the objects of `path` in file order, one at a time.

    Raises:
        InputError: the file is missing, is not UTF-8, or a line is not a JSON object.
    """
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 (its errors are not those of the loop below)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; run the stage that writes it, or `dvc pull`") from error
    with file:
        try:
            for number, line in enumerate(file, start=1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise InputError(f"{path}, line {number}: expected a JSON object, found {line.strip()[:60]!r}")
                yield row
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error.reason}); write it again") from error
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not JSON ({error.msg}); write it again") from error


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> int:
    """Write `rows` to `path`, atomically, and return how many there were."""
    count = 0
    with atomic_write(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count
