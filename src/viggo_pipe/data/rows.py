"""Reads the rows of a split's file, in any of the formats, and says what is wrong with which line."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from viggo_pipe.core.errors import InputError
from viggo_pipe.data.columns import Record
from viggo_pipe.data.csv_records import csv_records
from viggo_pipe.data.jsonl_records import jsonl_records
from viggo_pipe.data.lines import shown
from viggo_pipe.meaning.syntax import MeaningError, parse

_READERS = {".csv": csv_records, ".jsonl": jsonl_records}  # by the file name's suffix


def find_file(folder: Path, split: str) -> Path:
    """The one file of `split` in `folder`, in whichever format. It need not exist.

    Raises:
        InputError: there are several.
    """
    paths = [folder / f"{split}{suffix}" for suffix in _READERS]
    found = [path for path in paths if path.exists()]
    if len(found) > 1:
        raise InputError(
            f"dataset.path: {folder} holds both {found[0].name} and {found[1].name}; take one of them out"
        )
    return (found or paths)[0]


def read_rows(path: Path, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a file, each checked; time is linear, memory holds the ids.

    `columns.py` says which columns are read. Rows without a column of ids get `name`-1, `name`-2, and so on.

    Raises:
        InputError: the file cannot be read, is not in its suffix's format, has no row, or a row has no id of
            its own, no sentence or no meaning representation.
    """
    try:
        with open(path, "rb") as file:
            yield from _checked(path, _READERS[path.suffix](path, file), name)
    except OSError as error:
        raise cannot_read(path, error) from error


def cannot_read(path: Path, error: OSError) -> InputError:
    """The error for a split's file that the system does not give out."""
    return InputError(
        f"cannot read {path}: {error.strerror}; dataset.path must hold train, validation and test, each as "
        ".csv or .jsonl"
    )


def _checked(path: Path, records: Iterable[Record], name: str) -> Iterator[dict[str, str]]:
    lines_of_ids: dict[str, int] = {}
    number = 0
    for number, record in enumerate(records, start=1):
        where = f"{path}, line {record.line}"
        row = {"id": f"{name}-{number}"}
        for field, (column, value) in record.cells.items():
            if field == "id" and type(value) is int:  # in JSON; a bool is none
                value = str(value)
            row[field] = _text(value, f"{where}: column {column}")
        if "id" in record.cells:
            first = lines_of_ids.setdefault(row["id"], record.line)
            if first != record.line:
                raise InputError(
                    f"{where}: {record.cells['id'][0]} {shown(row['id'])} is that of line {first}; "
                    "make it unique"
                )
        text = row["meaning_representation"]
        try:
            parse(text)
        except MeaningError as error:
            raise InputError(
                f"{where}: column {record.cells['meaning_representation'][0]}: {shown(text)} is not a "
                f"meaning representation ({error}); correct it"
            ) from error
        yield {field: row[field] for field in ("id", "sentence", "meaning_representation")}
    if not number:
        raise InputError(f"{path} has no row; every split needs at least one")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where} is not a text; write one in quotes")
    if not value.strip():
        raise InputError(f"{where} is empty; fill it in, or take out the row")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can name half of a surrogate pair
        raise InputError(f"{where}: {shown(value)} holds half of a surrogate pair; correct it") from error
    return value
