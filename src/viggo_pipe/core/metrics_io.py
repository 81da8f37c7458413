"""The small files that git keeps and DVC shows: metrics as JSON, plots as CSV.

The same figures give the same bytes.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import atomic_write


def write_metrics(path: str | Path, metrics: Mapping[str, object]) -> None:
    """Write `metrics` as a JSON object, keys sorted."""
    with atomic_write(path) as file:
        json.dump(metrics, file, indent=2, sort_keys=True)
        file.write("\n")


def read_metrics(path: str | Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        InputError: the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        return content
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read {path} ({error}); the command that writes it writes it anew"
        ) from error


def read_plot(path: str | Path) -> list[dict[str, str]]:
    """The rows of `path`, as text.

    Raises:
        InputError: the file is missing or is not CSV.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read {path} ({error}); `dvc repro` writes it") from error


def write_plot(path: str | Path, rows: Iterable[Mapping[str, str | float | int]]) -> None:
    """Write `rows`, one at a time, under a header with the first row's keys, which all rows have.

    Raises:
        InputError: there is no row.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise InputError(f"nothing to write to {path}: there is no row to plot")
    with atomic_write(path) as file:
        table = csv.DictWriter(file, fieldnames=list(first), lineterminator="\n")
        table.writeheader()
        table.writerow(first)
        table.writerows(rows)
