"""Reads the records of a JSON Lines file, as `datasets` and pandas write them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.data.columns import Columns, Record
from viggo_pipe.data.lines import decoded_lines, shown


class _Object(tuple[tuple[str, Any], ...]):
    """An object's keys and values: a dict would forget that a key stood there twice."""


def jsonl_records(path: Path, file: BinaryIO) -> Iterator[Record]:
    """Yield the records, one JSON object a line; blank lines are left out.

    Raises:
        InputError: a line is not a JSON object, lacks a key or has two for one field, or does not have the
            first one's keys.
    """
    first: tuple[int, list[str]] | None = None
    for line, text in enumerate(decoded_lines(path, file), start=1):
        if not text.strip():
            continue
        where = f"{path}, line {line}"
        pairs = _parsed(text, where)
        columns = Columns([key for key, _ in pairs], where)
        first = first or (line, columns.names)
        if columns.names != first[1]:
            raise InputError(
                f"{where}: this row has {', '.join(columns.names)}, but that of line {first[0]} "
                f"{', '.join(first[1])}; give all rows the same keys"
            )
        yield columns.record(line, [value for _, value in pairs])


def _parsed(text: str, where: str) -> _Object:
    try:
        found = json.loads(text, object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else one_line(error)
        raise InputError(f"{where}: not JSON ({why}); write one object a line") from error
    if not isinstance(found, _Object):
        raise InputError(f"{where}: {shown(text.strip())} is not a JSON object; write one a line")
    return found
