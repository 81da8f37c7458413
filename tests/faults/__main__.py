"""The fault suite: breaks runs in many ways, and writes what was lost into docs/reliability.md.

python tests/faults            every fault
python tests/faults ROW ...    these rows alone

A row is a function that takes a maker of workspaces, breaks them, and returns how often it did and what was
lost; its docstring says what the fault is. One whose promise does not hold fails the suite.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' helpers, and this package

from faults import checkpoints, downloads, inputs, interruptions, surroundings
from faults.table import write_row
from faults.workspace import Workspace

ROWS = {
    row.__name__: row
    for row in (
        interruptions.kills,
        interruptions.repro_killed,
        interruptions.killed_before_the_lock,
        interruptions.survivor,
        interruptions.two_at_once,
        interruptions.ctrl_c,
        interruptions.ctrl_c_while_importing,
        checkpoints.other_inputs,
        checkpoints.cut_off_checkpoint,
        checkpoints.damaged_checkpoint,
        checkpoints.nan_loss,
        downloads.dataset_breaks_off,
        downloads.model_breaks_off,
        downloads.shared_cache,
        surroundings.full_disk,
        surroundings.read_only,
        surroundings.clock_jumps,
        surroundings.odd_paths,
        surroundings.another_user,
        inputs.small_splits,
        inputs.large_dataset,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Break runs, and write what was lost into docs/reliability.md."
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"these rows alone, of {', '.join(ROWS)}")
    chosen = parser.parse_args().rows or list(ROWS)
    if set(chosen) - set(ROWS):
        parser.error(f"no such row: {', '.join(set(chosen) - set(ROWS))}")
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell has what runs in its background ignore Ctrl-C
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:

            def new(workspace: str, folder=folder) -> Workspace:
                return Workspace(
                    Path(folder) / workspace / "project" if "/" not in workspace else Path(folder) / workspace
                )

            started = time.perf_counter()
            often, lost = ROWS[name](new)
            print(f"{name}: {often}: {lost} ({time.perf_counter() - started:.0f} s)", flush=True)
            write_row(name, f"{ROWS[name].__doc__} | {often} | {lost}", list(ROWS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
