"""JSON Lines: one JSON object a line, UTF-8."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.core.files import atomic_write

ROW_FIELDS = ("id", "sentence", "meaning_representation")  # of data/raw/*.jsonl


def read_jsonl(path: str | Path, fields: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield the objects of `path` in file order, one at a time.

    Args:
        fields: keys that each object must have, with texts as their values.

    Raises:
        InputError: the file is missing, is not UTF-8, holds no line, or a line is not a JSON object with
            these fields.
    """
    number = 0
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 (its errors are not those of the loop below)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; run the stage that writes it, or `dvc pull`"
        ) from error
    with file:
        try:
            for number, line in enumerate(file, start=1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise InputError(
                        f"{path}, line {number}: expected a JSON object, found {line.strip()[:60]!r}"
                    )
                for field in fields:
                    if not _is_text(row.get(field)):
                        raise InputError(
                            f"{path}, line {number}: {field!r} is missing or not a string; run `dvc repro`, "
                            "which writes it"
                        )
                yield row
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error.reason}); write it again") from error
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                f"{path}, line {number}: not JSON ({one_line(error)}); write it again"
            ) from error
    if not number:
        raise InputError(f"{path} holds no line; run `dvc repro`, which writes it")


def _is_text(value: object) -> bool:
    """Whether it is a string that UTF-8 can write: JSON can name half of a surrogate pair."""
    try:
        return isinstance(value, str) and bool(value.encode("utf-8") or True)
    except UnicodeEncodeError:
        return False


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write `rows` to `path`, atomically, and return how many there were."""
    count = 0
    with atomic_write(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count
