"""What one of several processes of a stage does: it runs the stage, and leaves an error for its launcher."""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from viggo_pipe.core.files import atomic_write
from viggo_pipe.core.signals import INTERRUPTED, LAUNCHER
from viggo_pipe.core.stage import BAD_INPUT, measure, reporting

FAILED = 1  # the exit status of an unexpected error
_SECONDS_FOR_RANK_0 = 3.0  # to fail with the same error and more to say, before the launcher ends it
_SECONDS_TO_END = 5.0  # to clear away what is half-written
_SECONDS_AFTER_RANK_0 = 60.0  # whose end, with everything written, nobody has more to do than to end after
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def run_as_rank(name: str, main: Callable[[], dict | None], report: Callable[[str], None]) -> int:
    """Run the stage `name` in this process, one of several; return its exit status.

    Rank 0 writes runs/NAME.json. Of the others nothing is printed.

    Args:
        report: is called with the line that explains another exit status than 0.
    """

    def work() -> None:
        main()

    if os.environ["RANK"] == "0":
        return reporting(name, lambda: measure(name, main), report)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return reporting(name, work, report)


def run_as_worker(name: str, main: Callable[[], dict | None]) -> NoReturn:
    """Run the stage `name` in a process that `launch` has started, and end the process.

    An error goes to torchelastic's error file: `status`, `message` (the line or the traceback), `timestamp`.
    """
    _end_with_launcher(name)
    lines: list[str] = []
    try:
        status = run_as_rank(name, main, lines.append)
    except Exception:
        status, lines = FAILED, [traceback.format_exc().rstrip()]
    sys.stdout.flush()
    is_rank_0 = os.environ["RANK"] == "0"
    if status in (BAD_INPUT, FAILED):
        _leave_error(status, lines[0])
        if not is_rank_0:
            time.sleep(_SECONDS_FOR_RANK_0)
    elif is_rank_0 and not status:
        _end_of_rank_0().touch()
    # At a regular end the threads that talked to other processes would have their say, or wait for them.
    os._exit(status)


def _leave_error(status: int, message: str) -> None:
    with atomic_write(os.environ["TORCHELASTIC_ERROR_FILE"]) as file:
        json.dump({"status": status, "message": message, "timestamp": time.time()}, file)


def _end_of_rank_0() -> Path:
    """A file that is there once rank 0 has ended well."""
    return Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parents[1] / "rank-0-has-ended"


def _end_with_launcher(name: str) -> None:
    """Have this process end after its launcher's death or rank 0's end, and in time after a signal, whatever
    it does.

    Python sees no signal while the main thread waits for another process in a C function.
    """
    launcher = int(os.environ[LAUNCHER])
    if sys.platform == "linux":  # stopped (SIGSTOP), it would outlive the launcher
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
    if os.getppid() != launcher:
        os._exit(INTERRUPTED)
    signalled, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.detach())

    def watch() -> None:
        rank, end_of_rank_0, rank_0_ended = int(os.environ["RANK"]), _end_of_rank_0(), None
        while not select.select([signalled], [], [], 0.5)[0]:
            if os.getppid() != launcher:
                os.kill(os.getpid(), signal.SIGTERM)
            if rank_0_ended is None and end_of_rank_0.exists():
                rank_0_ended = time.monotonic()
            if rank_0_ended is not None and time.monotonic() - rank_0_ended > _SECONDS_AFTER_RANK_0:
                _leave_error(
                    BAD_INPUT,
                    f"{name}: process {rank + 1} was still at work {_SECONDS_AFTER_RANK_0:.0f} s after "
                    "process 1 had ended, and was ended; run again",
                )
                os._exit(BAD_INPUT)
        time.sleep(_SECONDS_TO_END)
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()
