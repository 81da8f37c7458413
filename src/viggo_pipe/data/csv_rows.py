"""Reads the rows of CSV files in GEM/viggo's form, and says what is wrong with which line."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from viggo_pipe.core.errors import InputError
from viggo_pipe.meaning.syntax import MeaningError, parse

_COLUMNS = ("gem_id", "ref", "mr")
_SHOWN = 200  # characters of a bad value
csv.field_size_limit(2**31 - 1)  # the default refuses a cell over 131,072 characters


class _Reader(Protocol):
    """What csv.reader returns: Python 3.11 has no public name for its type."""

    line_num: int

    def __next__(self) -> list[str]: ...


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file in GEM/viggo's form, each checked; time is linear, memory holds the ids.

    The columns are gem_id, mr and ref, in any order, among others; UTF-8, with or without a BOM; LF or CRLF.

    Raises:
        InputError: the file cannot be read, is not such CSV, has no row, or a row has no id of its own, no
            sentence or no meaning representation.
    """
    try:
        with open(path, "rb") as file:
            yield from _rows(path, csv.reader(_lines(path, file), strict=True))
    except OSError as error:
        raise cannot_read(path, error) from error


def _rows(path: Path, reader: _Reader) -> Iterator[dict[str, str]]:
    records = _records(path, reader)
    header = next(records, (1, []))[1]
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        found = _shown(", ".join(header)) if header else "nothing"
        raise InputError(
            f"{path}, line 1: no column {missing[0]!r}, found {found}; name the columns gem_id, mr and ref, "
            "separated by commas"
        )
    indices = [header.index(column) for column in _COLUMNS]
    lines_of_ids: dict[str, int] = {}
    for line, cells in records:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns: "
                f"{_shown(','.join(cells))}; add what is missing, and put values that hold a comma in "
                '"quotes"'
            )
        identifier, sentence, text = (cells[index] for index in indices)
        for column, value in (("gem_id", identifier), ("ref", sentence)):
            if not value.strip():
                raise InputError(
                    f"{path}, line {line}: column {column} is empty; fill it in, or take out the row"
                )
        if identifier in lines_of_ids:
            first = lines_of_ids[identifier]
            raise InputError(
                f"{path}, line {line}: gem_id {_shown(identifier)} is that of line {first}; make it unique"
            )
        try:
            parse(text)
        except MeaningError as error:
            raise InputError(
                f"{path}, line {line}: column mr: {_shown(text)} is not a meaning representation ({error}); "
                "correct it"
            ) from error
        lines_of_ids[identifier] = line
        yield {"id": identifier, "sentence": sentence, "meaning_representation": text}
    if not lines_of_ids:
        raise InputError(f"{path} has no row under its header; every split needs at least one")


def _records(path: Path, reader: _Reader) -> Iterator[tuple[int, list[str]]]:
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


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[str]:
    """Decode line by line, so that a broken byte's line is known."""
    offset = 0
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, line {number}: byte {offset + error.start} of the file, "
                f"0x{line[error.start]:02x}, is not UTF-8; save it as UTF-8"
            ) from error
        yield text.removeprefix("\ufeff") if number == 1 else text
        offset += len(line)


def cannot_read(path: Path, error: OSError) -> InputError:
    """The error for a CSV file that the system does not give out."""
    return InputError(
        f"cannot read {path}: {error.strerror}; dataset.path must hold train.csv, validation.csv and test.csv"
    )


def _shown(value: str) -> str:
    """A bad value on one line, and not all of a long one."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}... ({len(value)} characters)"
