"""A stage that `run_in_processes` starts, and that needs no library: python stage_in_processes.py COUNT CODE

Each process executes CODE, which knows its `rank`. With SLOW_RANK in the environment, that one's imports take
some seconds.
"""

import ctypes
import os
import signal  # noqa: F401 (for CODE)
import sys
import time
from pathlib import Path

import viggo_pipe.core.signals  # noqa: F401
from viggo_pipe.core.errors import InputError  # noqa: F401
from viggo_pipe.core.files import atomic_write  # noqa: F401
from viggo_pipe.training.launch import run_in_processes


def hang_in_c() -> None:
    """Wait for ever, as for a process that does not answer: no Python code runs, at a signal neither."""
    lock = ctypes.create_string_buffer(64)  # a pthread_mutex_t, or larger
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(lock)


def wait_for(path: str | Path) -> None:
    """Return once a file exists."""
    while not Path(path).exists():
        time.sleep(0.01)


def error_file(rank: int) -> Path:
    """Where the error of another worker is written."""
    return Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parents[1] / f"{rank}/error.json"


def main() -> dict[str, int]:
    rank = int(os.environ.get("RANK") or 0)
    Path(f"started-{rank}").touch()
    exec(sys.argv[2], globals() | {"rank": rank})
    return {"rank": rank}


if __name__ == "__main__":
    if "RANK" in os.environ and os.environ["RANK"] == os.environ.get("SLOW_RANK"):
        Path("importing").touch()
        time.sleep(3)
    sys.exit(run_in_processes("train", main, lambda: int(sys.argv[1])))
