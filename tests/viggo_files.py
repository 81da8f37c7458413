"""The rows of the real ViGGO files, for tests under the marker `viggo`."""

import csv
from pathlib import Path

_ROWS = {"train": 5103, "validation": 714, "test": 1083}


def viggo_rows(folder: Path) -> list[dict[str, str]]:
    """All 6,900 rows: `gem_id`, `mr` (the meaning representation) and `ref` (the sentence)."""
    rows = []
    for split, count in _ROWS.items():
        with open(folder / f"{split}.csv", encoding="utf-8-sig", newline="") as file:
            read = list(csv.DictReader(file))
        assert len(read) == count, f"{folder}/{split}.csv is not the published file"
        rows += read
    return rows
