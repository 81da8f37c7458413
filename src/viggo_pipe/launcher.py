"""Runs a stage in several processes of this machine, and ends with one exit status and one line whatever happens to them.

`accelerate launch` starts processes on a CPU under MPI alone, and both it and torchrun end every error with status 1 and a
report of their own. A process that one of them has started takes part in what it started.

Each process that is started here has one end of a socket. Over it, it sends what it failed with, and then waits to be ended:
the others would otherwise fail for its absence, with errors that explain nothing. When the starting process dies, by SIGKILL
too, the socket closes, and that ends what it started.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from viggo_pipe.errors import InputError
from viggo_pipe.interrupt import INTERRUPTED
from viggo_pipe.stage import BAD_INPUT, measure, reporting, say

_SOCKET = "VIGGO_STARTED_BY"  # the descriptor of a started process's end
_SECONDS_TO_SAY = 5.0  # that the others have, after the first failure, to say what failed with them
_SECONDS_TO_END = 5.0  # to clear away what is half-written
_FAILED = 1  # the exit status of an error that nobody expected


def run_in_processes(name: str, main: Callable[[], dict | None], count: Callable[[], int]) -> int:
    """Run the stage `name` as `run_stage` does, in as many processes as `count` says.

    They have RANK, WORLD_SIZE and so on in their environment, as PyTorch's launchers set them. The first one, rank 0, writes
    runs/NAME.json, and it alone is heard.
    """
    if _SOCKET in os.environ:
        return _take_part(name, main)
    if "RANK" in os.environ:
        return _as_rank(name, main, say)

    def work() -> int | None:
        processes = count()
        return measure(name, main) if processes == 1 else _supervise(processes)

    return reporting(name, work)


def _as_rank(name: str, main: Callable[[], dict | None], report: Callable[[str], None]) -> int:
    if os.environ["RANK"] == "0":
        return reporting(name, lambda: measure(name, main), report)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return reporting(name, lambda: main() and None, report)


def _take_part(name: str, main: Callable[[], dict | None]) -> int:
    """What a started process does."""
    starter = socket.socket(fileno=int(os.environ.pop(_SOCKET)))
    starter.set_inheritable(False)
    over = threading.Event()

    def watch() -> None:
        starter.recv(1)  # nothing is ever sent: it returns when the other end closes
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            over.wait(_SECONDS_TO_END)
        os._exit(INTERRUPTED)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _send(starter, {"begun": True})
    said: list[str] = []
    try:
        status = _as_rank(name, main, said.append)
    except Exception:
        status, said = _FAILED, [traceback.format_exc()]
    over.set()
    sys.stdout.flush()
    if status:
        _send(starter, {"status": status, "said": "\n".join(said)})
        watcher.join()
    return status


def _send(to: socket.socket, message: dict) -> None:
    with contextlib.suppress(OSError):  # it is gone, which the watcher sees too
        to.sendall(json.dumps(message).encode() + b"\n")


class _Process:
    """A process that was started, and what is known of its end.

    Attributes:
        begun: it has come as far as the stage's work.
        status: its exit status, below 0 for a signal's; None while it runs.
        said: what it failed with, if it could say so.
    """

    def __init__(self, rank: int, count: int, port: int):
        self.rank, self.begun, self.status, self.said = rank, False, None, ""
        ours, theirs = socket.socketpair()
        self.socket, self._messages = ours, ours.makefile("rb")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        environment = {
            "OMP_NUM_THREADS": str(max(1, cores // count)),
            **({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}),  # nobody else can connect to it
            **os.environ,
            **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)},
            **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), _SOCKET: str(theirs.fileno())},
        }
        heard = None if rank == 0 else subprocess.DEVNULL
        self.process = subprocess.Popen(
            [sys.executable, sys.modules["__main__"].__file__, *sys.argv[1:]],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdout=heard,
            stderr=heard,
            start_new_session=True,  # so that Ctrl-C comes to the starting process alone
        )
        theirs.close()

    def listen(self) -> None:
        """Take in what has come over the socket: a message, or that it is closed."""
        line = self._messages.readline()
        if not line:
            self.status = self.process.wait()
            return
        message = json.loads(line)
        self.begun |= "begun" in message
        self.status, self.said = message.get("status"), message.get("said", "")

    def end(self) -> None:
        """Have it end, in its own time if it has begun."""
        self._messages.close()
        self.socket.close()
        if not self.begun:
            self.process.kill()


def _supervise(count: int) -> int:
    """Start the processes, wait for them, and return the exit status of what they did together.

    Raises:
        InputError: a process was killed.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes: list[_Process] = []
    try:
        for rank in range(count):
            processes.append(_Process(rank, count, port))
        _wait(processes)
        return _outcome(processes)
    finally:
        for process in processes:
            process.end()
        deadline = time.monotonic() + _SECONDS_TO_END + 1
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.process.wait(max(0.0, deadline - time.monotonic()))
            process.process.kill()
            process.process.wait()


def _wait(processes: Sequence[_Process]) -> None:
    """Wait until all have ended, or one has failed and the others have had time to say what failed with them.

    What the first one has for the user goes before the others' words, and need not wait for them.
    """
    deadline = None
    while running := [process for process in processes if process.status is None]:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([process.socket for process in running], [], [], left)
        for process in running:
            if process.socket in ready:
                process.listen()
        if deadline is None and any(process.status for process in processes):
            deadline = time.monotonic() + _SECONDS_TO_SAY
        if not ready or processes[0].status == BAD_INPUT:
            return


def _outcome(processes: Sequence[_Process]) -> int:
    """Pass on what one of the processes failed with, and return its exit status; 0 if none has."""
    count, failed = len(processes), [process for process in processes if process.status]
    for process in failed:
        if process.status < 0:
            raise InputError(
                f"process {process.rank + 1} of {count} was killed by {signal.Signals(-process.status).name}, for want of memory "
                "perhaps; the others were ended: run again to go on"
            )
    if not failed:
        return 0
    # A line for the user before an error that nobody expected, which may be but the absence of another process.
    told = min(failed, key=lambda process: (not process.said, process.status == _FAILED, process.rank))
    say(told.said or f"process {told.rank + 1} of {count} ended with exit status {told.status}")
    return told.status
