"""Stage fetch: the dataset's three splits, verified, as JSON Lines.

python stages/fetch_dataset.py
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import sys

from viggo_pipe.dataset import fetch_dataset
from viggo_pipe.params import load_params
from viggo_pipe.stage import run_stage


def main() -> None:
    settings = load_params("dataset").dataset
    counts = fetch_dataset(settings, "data/raw")
    for split, rows in counts.items():
        print(f"data/raw/{split}.jsonl: {rows:,} rows ({settings.source})")


if __name__ == "__main__":
    sys.exit(run_stage("fetch", main))
