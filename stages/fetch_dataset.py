"""Stage fetch: the dataset's three splits, verified, as JSON Lines.

python stages/fetch_dataset.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
import viggo_pipe.core.entry_point  # noqa: F401 (before the imports that take seconds)
from viggo_pipe.config.load import load_params
from viggo_pipe.core.stage import run_stage
from viggo_pipe.data.dataset import fetch_dataset


def main() -> None:
    settings = load_params("dataset").dataset
    counts = fetch_dataset(settings, "data/raw")
    for split, rows in counts.items():
        print(f"data/raw/{split}.jsonl: {rows:,} rows ({settings.source})")


if __name__ == "__main__":
    sys.exit(run_stage("fetch", main))
