"""The dataset's three sources, each verified and brought to one form: data/raw/{train,validation,test}.jsonl.

ViGGO (Juraska, Bowden, Walker 2019, W19-8623) stands on the Hub as GEM/viggo, a script dataset, which `datasets` 4 and
later refuse to load: its three CSV files are fetched by themselves, at a pinned commit. Own files have the same form.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from viggo_pipe.draw import Draw
from viggo_pipe.errors import InputError
from viggo_pipe.files import atomic_write
from viggo_pipe.meaning import MeaningError, parse
from viggo_pipe.settings.dataset import DatasetSettings

SPLITS = ("train", "validation", "test")
_COLUMNS = ("gem_id", "ref", "mr")
csv.field_size_limit(2**31 - 1)  # the default refuses a cell over 131,072 characters
_SHOWN = 200  # characters of a bad value


def fetch_dataset(settings: DatasetSettings, folder: str | Path) -> dict[str, int]:
    """Write `folder`/{train,validation,test}.jsonl, all three or none, and return each split's number of rows.

    A row is {"id", "sentence", "meaning_representation"}; rows keep their source's order.

    Raises:
        InputError: the source is not to be had, does not have its checksum, or holds a row that is not ViGGO's form.
    """
    paths = {split: Path(folder) / f"{split}.jsonl" for split in SPLITS}
    for path in paths.values():
        if path.is_dir():
            raise InputError(f"cannot write {path}: a folder of that name is in its place; move it away")
    splits = read_splits(settings)
    counts = {}
    with ExitStack() as stack:
        files = {split: stack.enter_context(atomic_write(path)) for split, path in paths.items()}
        for split, file in files.items():
            counts[split] = 0
            for row in splits[split]:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                counts[split] += 1
        # A full disk must show before the first of the three takes its place.
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return counts


def read_splits(settings: DatasetSettings) -> dict[str, Iterable[dict[str, str]]]:
    """The rows of each split. A CSV file's are read, and checked, as they are taken.

    Raises:
        InputError: as `fetch_dataset`; what is wrong with a row, while the rows are taken.
    """
    if settings.source == "sample":
        from viggo_pipe.sample import generate_sample

        splits = generate_sample(settings.sample)
    else:
        splits = {split: read_csv(path) for split, path in find_csv_files(settings).items()}
    if settings.train_share < 1:
        splits["train"] = _share(splits["train"], settings)
    return splits


def _share(rows: Iterable[dict[str, str]], settings: DatasetSettings) -> Iterator[dict[str, str]]:
    """Yield `train_share` of `rows`, at least one, in their order."""
    rows, draw = list(rows), Draw(f"{settings.train_share_seed}/train")
    ranks = [draw.share() for _ in rows]
    last = sorted(ranks)[max(1, round(settings.train_share * len(rows))) - 1]
    return (row for row, rank in zip(rows, ranks, strict=True) if rank <= last)


def find_csv_files(settings: DatasetSettings) -> dict[str, Path]:
    """The CSV file of each split, downloaded where the source is `hub`, with its checksum verified.

    Raises:
        InputError: a file is not to be had, or does not have its checksum.
    """
    if settings.source == "hub":
        from viggo_pipe.hub import download_file

        files = {}
        for split in SPLITS:
            files[split] = download_file(settings.repo, settings.revision, f"{split}.csv", repo_type="dataset")
            _verify(files[split], split, settings)
        return files
    folder = Path(settings.path)
    if not folder.is_dir():
        raise InputError(
            f"dataset.path: there is no folder {folder}; put train.csv, validation.csv and test.csv there, or set "
            "dataset.source to sample or hub"
        )
    files = {split: folder / f"{split}.csv" for split in SPLITS}
    for split, path in files.items():
        _verify(path, split, settings)
    return files


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file in GEM/viggo's form, each checked; time is linear, memory holds the ids.

    The columns are gem_id, mr and ref, in any order, among others; UTF-8, with or without a BOM; LF or CRLF.

    Raises:
        InputError: the file cannot be read, is not such CSV, has no row, or a row has no id of its own, no sentence or
            no meaning representation.
    """
    try:
        with open(path, "rb") as file:
            yield from _rows(path, csv.reader(_lines(path, file), strict=True))
    except OSError as error:
        raise _unreadable(path, error) from error


def _rows(path: Path, reader) -> Iterator[dict[str, str]]:
    records = _records(path, reader)
    header = next(records, (1, []))[1]
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        found = _shown(", ".join(header)) if header else "nothing"
        raise InputError(
            f"{path}, line 1: no column {missing[0]!r}, found {found}; name the columns gem_id, mr and ref, separated by commas"
        )
    indices = [header.index(column) for column in _COLUMNS]
    lines_of_ids: dict[str, int] = {}
    for line, cells in records:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns: {_shown(','.join(cells))}; add "
                'what is missing, and put values that hold a comma in "quotes"'
            )
        identifier, sentence, text = (cells[index] for index in indices)
        for column, value in (("gem_id", identifier), ("ref", sentence)):
            if not value.strip():
                raise InputError(f"{path}, line {line}: column {column} is empty; fill it in, or take out the row")
        if identifier in lines_of_ids:
            first = lines_of_ids[identifier]
            raise InputError(f"{path}, line {line}: gem_id {_shown(identifier)} is that of line {first}; make it unique")
        try:
            parse(text)
        except MeaningError as error:
            raise InputError(
                f"{path}, line {line}: column mr: {_shown(text)} is not a meaning representation ({error}); correct it"
            ) from error
        lines_of_ids[identifier] = line
        yield {"id": identifier, "sentence": sentence, "meaning_representation": text}
    if not lines_of_ids:
        raise InputError(f"{path} has no row under its header; every split needs at least one")


def _records(path: Path, reader) -> Iterator[tuple[int, list[str]]]:
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


def _lines(path: Path, file) -> Iterator[str]:
    """Decode line by line, so that a broken byte's line is known."""
    offset = 0
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, line {number}: byte {offset + error.start} of the file, 0x{line[error.start]:02x}, is not "
                "UTF-8; save it as UTF-8"
            ) from error
        yield text.removeprefix("\ufeff") if number == 1 else text
        offset += len(line)


def _verify(path: Path, split: str, settings: DatasetSettings) -> None:
    expected = getattr(settings.sha256, split)
    if expected is None:
        return
    try:
        with open(path, "rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    if actual == expected:
        return
    if settings.source == "hub":
        # The cache's entry is a link; only without the file behind it does the client download anew.
        where = f"{split}.csv of {settings.repo} at {settings.revision[:12]}"
        remedy = f"correct it if it is wrong, else delete the cached {path.resolve()} and run again"
    else:
        where, remedy = str(path), "put the right file there, or set it to null to leave the file unchecked"
    raise InputError(f"dataset.sha256.{split}: {where} has sha256 {actual}, not {expected}; {remedy}")


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot read {path}: {error.strerror}; dataset.path must hold train.csv, validation.csv and test.csv")


def _shown(value: str) -> str:
    """A bad value on one line, and not all of a long one."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}... ({len(value)} characters)"
