"""The rows of the real ViGGO files, for tests under the marker `viggo`."""

import csv
from pathlib import Path

_ROWS = {"train": 5103, "validation": 714, "test": 1083}


def viggo_rows(folder: Path) -> list[dict[str, str]]:
    """All 6,900 rows: `gem_id`, `mr` (the meaning representation) and `ref` (the sentence)."""
    return [row for split in _ROWS for row in viggo_split(folder, split)]


def viggo_split(folder: Path, split: str) -> list[dict[str, str]]:
    """The rows of one split, in file order."""
    with open(folder / f"{split}.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == _ROWS[split], f"{folder}/{split}.csv is not the published file"
    return rows
