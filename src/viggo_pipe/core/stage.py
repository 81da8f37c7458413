"""Runs a stage's main function: exit status, one clear error line, and the run's cost in runs/STAGE.json."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.core.machine import describe_machine, peak_memory
from viggo_pipe.core.metrics_io import write_metrics
from viggo_pipe.core.signals import INTERRUPTED, Interruptible

# Git-ignored and unknown to DVC: seconds and memory differ at each run, and would make a DVC output stale.
RUNS = Path("runs")
BAD_INPUT = 2  # the exit status


def run_stage(name: str, main: Callable[[], dict[str, Any] | None]) -> int:
    """Run `main` and return the process's exit status: 0, 2 after an InputError, 130 after Ctrl-C.

    `main` may return what it measured (tokens a second, say); it joins `seconds`, the peak memory and the
    `machine` in runs/NAME.json.
    """
    return reporting(name, lambda: measure(name, main))


def measure(name: str, main: Callable[[], dict[str, Any] | None]) -> None:
    """Run `main`, and write what it returns and what it cost to runs/NAME.json."""
    started = time.perf_counter()
    measured = main() or {}
    measured |= {
        "seconds": round(time.perf_counter() - started, 2),
        **peak_memory(),
        "machine": describe_machine(),
    }
    write_metrics(RUNS / f"{name}.json", measured)


def say(line: str) -> None:
    """Print to stderr."""
    print(line, file=sys.stderr, flush=True)


def reporting(name: str, work: Callable[[], int | None], report: Callable[[str], None] = say) -> int:
    """Run `work` and return its exit status: 2 after an InputError, 130 after Ctrl-C, each with a line to
    `report`.
    """
    try:
        with Interruptible():
            return work() or 0
    except InputError as error:
        report(f"{name}: {one_line(error)}")
        return BAD_INPUT
    except OSError as error:
        report(f"{name}: {one_line(error)}; check that path, its permissions and the space left")
        return BAD_INPUT
    except KeyboardInterrupt:
        report(f"{name}: interrupted, and nothing is half-written; run again to go on")
        return INTERRUPTED
