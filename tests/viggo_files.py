"""The real ViGGO files, for tests under the marker `viggo`: VIGGO_DATA names their folder."""

import csv
import os
from pathlib import Path

_DEFAULT = Path(__file__).parents[1] / ".." / "shared" / "viggo"
SPLITS = {"train": 5103, "validation": 714, "test": 1083}


def viggo_rows(*splits: str) -> list[dict[str, str]]:
    """The rows of `splits`, or of all three: `gem_id`, `mr` (the meaning representation) and `ref` (the sentence)."""
    folder = Path(os.environ.get("VIGGO_DATA") or _DEFAULT)
    rows = []
    for split in splits or SPLITS:
        with open(folder / f"{split}.csv", encoding="utf-8-sig", newline="") as file:
            read = list(csv.DictReader(file))
        assert len(read) == SPLITS[split], f"{folder}/{split}.csv is not the published file"
        rows += read
    return rows
