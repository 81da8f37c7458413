"""Reads the records of a CSV file: GEM/viggo's, its author's, or any with such columns."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from viggo_pipe.core.errors import InputError
from viggo_pipe.data.columns import Columns, Record
from viggo_pipe.data.lines import decoded_lines, shown

csv.field_size_limit(2**31 - 1)  # the default refuses a cell over 131,072 characters


class _Reader(Protocol):
    """What csv.reader returns: Python 3.11 has no public name for its type."""

    line_num: int

    def __next__(self) -> list[str]: ...


def csv_records(path: Path, file: BinaryIO) -> Iterator[Record]:
    """Yield the records under the header: UTF-8, with or without a BOM; LF or CRLF; columns in any order.

    Raises:
        InputError: the file is not CSV, its header lacks a column or has two for one field, or a record does
            not have a cell for each column.
    """
    lines = _numbered(path, csv.reader(decoded_lines(path, file), strict=True))
    line, header = next(lines, (1, []))
    columns = Columns(header, f"{path}, line {line}")
    for line, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns: "
                f"{shown(','.join(cells))}; add what is missing, and put values that hold a comma in "
                '"quotes"'
            )
        yield columns.record(line, cells)


def _numbered(path: Path, reader: _Reader) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of the line that it begins on; blank lines are left out."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{path}, line {line}: not CSV ({error}); close each quote, and double those inside a value"
            ) from error
        if cells is None:
            return
        if cells:
            yield line, cells
