"""Runs a stage's main function: exit status, one clear error line, and what the run cost, in runs/STAGE.json."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from viggo_pipe.errors import InputError, one_line
from viggo_pipe.files import atomic_write
from viggo_pipe.interrupt import INTERRUPTED, Interruptible
from viggo_pipe.machine import describe_machine, peak_memory

# Git-ignored and unknown to DVC: seconds and memory differ at each run, and would make a DVC output stale.
RUNS = Path("runs")


def run_stage(name: str, main: Callable[[], dict | None]) -> int:
    """Run `main` and return the process's exit status: 0, 2 after an InputError, 130 after Ctrl-C.

    `main` may return what it measured (tokens a second, say); it joins `seconds`, the peak memory and the `machine` in
    runs/NAME.json.
    """
    started = time.perf_counter()
    try:
        with Interruptible():
            measured = main() or {}
            measured |= {"seconds": round(time.perf_counter() - started, 2), **peak_memory(), "machine": describe_machine()}
            with atomic_write(RUNS / f"{name}.json") as file:
                json.dump(measured, file, indent=2, sort_keys=True)
                file.write("\n")
    except InputError as error:
        print(f"{name}: {one_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{name}: {one_line(error)}; check that path, its permissions and the space left", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted, and nothing is half-written; run again to go on", file=sys.stderr)
        return INTERRUPTED
    return 0
