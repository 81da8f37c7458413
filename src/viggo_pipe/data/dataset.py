"""The dataset's three sources, each verified and brought to one form: data/raw/{train,validation,test}.jsonl.

ViGGO (Juraska, Bowden, Walker 2019, W19-8623) is GEM/viggo on the Hub. It is a script dataset, which
`datasets` 4 and later refuse to load. So its three CSV files are downloaded by themselves, at a pinned
commit. Own files are CSV or JSON Lines, with the same columns or others that `columns.py` names.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import atomic_write
from viggo_pipe.core.rng import Rng
from viggo_pipe.data.rows import cannot_read, find_file, read_rows

SPLITS = ("train", "validation", "test")


def fetch_dataset(settings: DatasetSettings, folder: str | Path) -> dict[str, int]:
    """Write `folder`/{train,validation,test}.jsonl, all three or none, and return each split's number of
    rows.

    A row is {"id", "sentence", "meaning_representation"}; rows keep their source's order.

    Raises:
        InputError: the source is not to be had, does not have its checksum, or holds a row that is not
            ViGGO's form.
    """
    paths = {split: Path(folder) / f"{split}.jsonl" for split in SPLITS}
    for path in paths.values():
        if path.is_dir():
            raise InputError(f"cannot write {path}: a folder of that name is in its place; move it away")
    splits = read_splits(settings)
    counts: dict[str, int] = dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        files = {split: stack.enter_context(atomic_write(path)) for split, path in paths.items()}
        for split, file in files.items():
            for row in splits[split]:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                counts[split] += 1
        # A full disk must show before the first of the three takes its place.
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return counts


def read_splits(settings: DatasetSettings) -> dict[str, Iterable[dict[str, str]]]:
    """The rows of each split. A file's are read, and checked, as they are taken.

    Raises:
        InputError: as `fetch_dataset`; what is wrong with a row, while the rows are taken.
    """
    splits: dict[str, Iterable[dict[str, str]]] = {}
    if settings.source == "sample":
        from viggo_pipe.data.sample import generate_sample

        splits.update(generate_sample(settings.sample))
    else:
        for split, path in find_files(settings).items():
            splits[split] = read_rows(path, f"{settings.source}-{split}")
    if settings.train_share < 1:
        splits["train"] = _share(splits["train"], settings)
    return splits


def _share(rows: Iterable[dict[str, str]], settings: DatasetSettings) -> Iterator[dict[str, str]]:
    """Yield `train_share` of `rows`, at least one, in their order."""
    rows, rng = list(rows), Rng(f"{settings.train_share_seed}/train")
    ranks = [rng.uniform() for _ in rows]
    last = sorted(ranks)[max(1, round(settings.train_share * len(rows))) - 1]
    return (row for row, rank in zip(rows, ranks, strict=True) if rank <= last)


def find_files(settings: DatasetSettings) -> dict[str, Path]:
    """The file of each split, downloaded where the source is `hub`, with its checksum verified.

    Raises:
        InputError: a file is not to be had, is one of several, or does not have its checksum.
    """
    if settings.source == "hub":
        from viggo_pipe.core.hub import download_file

        files = {}
        for split in SPLITS:
            files[split] = download_file(
                settings.repo, settings.revision, f"{split}.csv", repo_type="dataset"
            )
            _verify(files[split], split, settings)
        return files
    folder = Path(settings.path)
    if not folder.is_dir():
        raise InputError(
            f"dataset.path: there is no folder {folder}; put train, validation and test there, each as .csv "
            "or .jsonl, or set dataset.source to sample or hub"
        )
    files = {split: find_file(folder, split) for split in SPLITS}
    for split, path in files.items():
        _verify(path, split, settings)
    return files


def _verify(path: Path, split: str, settings: DatasetSettings) -> None:
    expected = getattr(settings.sha256, split)
    if expected is None:
        return
    try:
        with open(path, "rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error
    if actual == expected:
        return
    if settings.source == "hub":
        # The cache's entry is a link; only without the file behind it does the client download anew.
        where = f"{split}.csv of {settings.repo} at {settings.revision[:12]}"
        remedy = f"correct it if it is wrong, else delete the cached {path.resolve()} and run again"
    else:
        where, remedy = str(path), "put the right file there, or set it to null to leave the file unchecked"
    raise InputError(f"dataset.sha256.{split}: {where} has sha256 {actual}, not {expected}; {remedy}")
