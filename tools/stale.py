"""Fails, naming them, if files or params of a stage have changed since dvc.lock was written.

Needs neither the data nor the model: what is only missing here was not changed. `dvc repro --dry
--allow-missing` will not do: it exits 0 where stages would run, and stops at the first of them whose data are
missing.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
from viggo_pipe.cli.stale import stale_entries
from viggo_pipe.core.stage import reporting


def main() -> int:
    stale = stale_entries()
    if stale:
        print(
            "dvc.lock is not of these files: `dvc repro`, commit dvc.lock, metrics and plots, and `dvc push`",
            file=sys.stderr,
        )
        print(*stale, sep="\n", file=sys.stderr)
        return 1
    print("nothing is stale")
    return 0


if __name__ == "__main__":
    sys.exit(reporting("stale", main))
