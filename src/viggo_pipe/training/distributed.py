"""How the processes of one training work together: over NCCL with a GPU each, over gloo on CPUs."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.resume import resumable

T = TypeVar("T")
_TIMEOUT = timedelta(hours=1)  # one process may download the base model while the others wait


def world_size() -> int:
    """How many processes train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def is_main_process() -> bool:
    """Whether this process writes the outs and prints: rank 0, or the only process."""
    return (os.environ.get("RANK") or "0") == "0"


def processes_to_start(settings: TrainSettings) -> int:
    """How many processes to start on this machine: `settings.num_processes`, with a GPU each or on its CPU.

    Raises:
        InputError: there are GPUs, but fewer than processes.
    """
    gpus = torch.cuda.device_count()
    if 0 < gpus < settings.num_processes:
        raise InputError(
            f"train.num_processes is {settings.num_processes}, but GPUs here: {gpus}; lower it and raise "
            "train.gradient_accumulation_steps to match, or use several machines (docs/distributed.md)"
        )
    return settings.num_processes


@contextmanager
def process_group(settings: TrainSettings) -> Iterator[None]:
    """Connect the processes that train together, within the block. Each gets its own GPU, if there are any.

    Raises:
        InputError: another number of processes was started than `settings` say; the adapter would change.
    """
    if world_size() != settings.num_processes:
        raise InputError(
            f"train.num_processes is {settings.num_processes}, but {world_size()} were started: set it to "
            f"{world_size()}, or start {settings.num_processes}"
        )
    if settings.num_processes == 1:
        yield
        return
    PartialState(cpu=not torch.cuda.is_available(), timeout=_TIMEOUT)
    yield
    torch.distributed.destroy_process_group()


def barrier() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        PartialState().wait_for_everyone()


def broadcast_from_main(compute: Callable[[], T]) -> T:
    """Call `compute` in the main process alone, and return its result, a picklable object, in every one."""
    if world_size() == 1:
        return compute()
    result: list[Any] = [compute() if is_main_process() else None]
    return broadcast_object_list(result)[0]


@contextmanager
def local_main_process_first() -> Iterator[None]:
    """Run the block in one process of each machine first, and then in the others."""
    if world_size() == 1:
        yield
        return
    with PartialState().local_main_process_first():
        yield


@contextmanager
def shared_scratch(stage: str, digest: str) -> Iterator[Path]:
    """Open `resumable` in the main process, and yield its folder in every process.

    Raises:
        InputError: another run is at this stage in this project, or this machine cannot see the folder.
    """
    with resumable(stage, digest) if is_main_process() else nullcontext(Path()) as mine:
        scratch = broadcast_from_main(lambda: mine)
        if not scratch.is_dir():
            raise InputError(
                f"this machine cannot see {scratch}, which the main process made: every process reads the "
                "checkpoints, so put the project's folder runs on a disk that all machines share"
            )
        yield scratch
        barrier()  # the main process then deletes the folder
