"""Run a stage in several processes of this machine by torchrun's API, with one exit status and one line.

torchrun ends every error with status 1 and a long report. Here the launcher prints what explains the end.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.signals import INTERRUPTED, LAUNCHER
from viggo_pipe.core.stage import BAD_INPUT, measure, reporting, say
from viggo_pipe.training.environment import settle_environment
from viggo_pipe.training.worker import run_as_rank, run_as_worker

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

_SECONDS_TO_KILL = 25  # torchrun waits for 30


def run_in_processes(name: str, main: Callable[[], dict | None], count: Callable[[], int]) -> int:
    """Run the stage `name` as `run_stage` does, in as many processes as `count` says; return the exit status.

    Several processes run this script again, as torchrun would. Rank 0 writes runs/NAME.json, and only its
    output is shown. A process that torchrun or `accelerate launch` started takes part in what they launched.
    """
    status = reporting(name, settle_environment)
    if status:
        return status
    if LAUNCHER in os.environ:
        return run_as_worker(name, main)
    if "RANK" in os.environ:
        return run_as_rank(name, main, say)

    def work() -> int | None:
        processes = count()
        return measure(name, main) if processes == 1 else _launch(processes)

    return reporting(name, work)


def _launch(count: int) -> int:
    """Start `count` workers and wait for them; return the exit status for all.

    Raises:
        InputError, KeyboardInterrupt: as `_explain`.
    """
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage] (documented so)
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _set_environment(count)
    logger = logging.getLogger("torch.distributed.elastic")  # its children report each failure
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    # A store of torchrun's own would listen on all interfaces. This one listens on the socket that it is
    # given, and torchrun's shares its server, as multi-tenant stores on one port do.
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server: dict[str, Any] = {"is_master": True, "wait_for_workers": False, "multi_tenant": True}
    store = TCPStore("127.0.0.1", port, **server, master_listen_fd=listening.detach())
    with tempfile.TemporaryDirectory() as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id="viggo",
            rdzv_backend="static",
            rdzv_endpoint=f"{store.host}:{store.port}",
            rdzv_configs={"rank": 0},
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder, local_ranks_filter={0}),
            signals_to_handle="",  # `reporting` handles them, but not those that nohup ignores
        )
        try:
            elastic_launch(config, sys.executable)(sys.modules["__main__"].__file__, *sys.argv[1:])
        except ChildFailedError as error:
            return _explain(error.failures, count)
    return 0


def _set_environment(count: int) -> None:
    """Set what the workers inherit; what the user has set stays."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // count)))
    if sys.platform == "linux":  # where the loopback interface has this name
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    os.environ[LAUNCHER] = str(os.getpid())


def _explain(failures: Mapping[int, "ProcessFailure"], count: int) -> int:
    """Print what one of `count` workers failed with; return its exit status.

    Bad input goes first, then a kill: either may have caused an unexpected error elsewhere. But what does not
    end after another's error, torchrun kills in the end.

    Raises:
        InputError: a worker was killed, or ended without a word.
        KeyboardInterrupt: a worker was interrupted.
    """
    errors = [failure.error_file_data for _, failure in sorted(failures.items())]
    errors = [error for error in errors if "status" in error]  # the others ended without writing one
    for error in errors:
        if error["status"] == BAD_INPUT:
            say(error["message"])
            return BAD_INPUT
    interrupted = {INTERRUPTED, -signal.SIGTERM}  # by torchrun after another's failure, or by the user
    if any(time.time() - error["timestamp"] > _SECONDS_TO_KILL for error in errors):
        interrupted.add(-signal.SIGKILL)
    codes = {rank: failure.exitcode for rank, failure in failures.items()}
    codes = {rank: code for rank, code in codes.items() if code not in interrupted}
    for rank, code in codes.items():
        if code < 0:
            memory = " (out of memory?)" if code == -signal.SIGKILL else ""
            raise InputError(
                f"process {rank + 1} of {count} was killed by {signal.Signals(-code).name}{memory}; the "
                "others were ended: run again to go on"
            )
    if errors:
        first = min(errors, key=lambda error: error["timestamp"])
        say(first["message"])
        return first["status"]
    for rank, code in codes.items():
        raise InputError(
            f"process {rank + 1} of {count} ended with exit status {code}; run in one process to see why"
        )
    raise KeyboardInterrupt
