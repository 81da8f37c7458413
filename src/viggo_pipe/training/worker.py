"""What one of several processes of a stage does: it runs the stage, and leaves an error for its launcher."""

import contextlib
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

from viggo_pipe.core.files import atomic_write
from viggo_pipe.core.signals import INTERRUPTED, LAUNCHER
from viggo_pipe.core.stage import BAD_INPUT, measure, reporting

FAILED = 1  # the exit status of an unexpected error
_SECONDS_FOR_RANK_0 = 3.0  # to fail with the same error and more to say, before the launcher ends it
_SECONDS_TO_END = 5.0  # to clear away what is half-written


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


def run_as_worker(name: str, main: Callable[[], dict | None]) -> int:
    """Run the stage `name` in a process that `launch` has started; return 0, or end the process.

    An error goes to torchelastic's error file: `status`, `message` (the line or the traceback), `timestamp`.
    """
    _end_with_launcher()
    lines: list[str] = []
    try:
        status = run_as_rank(name, main, lines.append)
    except Exception:
        status, lines = FAILED, [traceback.format_exc().rstrip()]
    sys.stdout.flush()
    if status in (BAD_INPUT, FAILED):
        with atomic_write(os.environ["TORCHELASTIC_ERROR_FILE"]) as file:
            json.dump({"status": status, "message": lines[0], "timestamp": time.time()}, file)
        if os.environ["RANK"] != "0":
            time.sleep(_SECONDS_FOR_RANK_0)
    if status:
        os._exit(status)  # the threads that talked to other processes would have their say at a regular end
    return status


def _end_with_launcher() -> None:
    """Have this process end after its launcher's death, and in time after a signal, whatever it does.

    Python sees no signal while the main thread waits for another process in a C function.
    """
    launcher = int(os.environ[LAUNCHER])
    if os.getppid() != launcher:
        os._exit(INTERRUPTED)
    signalled, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.detach())

    def watch() -> None:
        while not select.select([signalled], [], [], 0.5)[0]:
            if os.getppid() != launcher:
                os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_SECONDS_TO_END)
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()
