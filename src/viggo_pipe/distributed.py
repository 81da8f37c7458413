"""What the processes that train together agree on, by accelerate: over NCCL with a GPU each, over gloo on CPUs."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from viggo_pipe.errors import InputError
from viggo_pipe.resume import resumable
from viggo_pipe.settings.train import TrainSettings

T = TypeVar("T")
_PATIENCE = timedelta(hours=1)  # with a process that downloads the base model, say, while the others wait


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes and speaks for all: rank 0, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def processes_to_start(settings: TrainSettings) -> int:
    """`settings.processes`, for which there are GPUs enough, or none at all.

    Raises:
        InputError: there are fewer GPUs than processes.
    """
    gpus = torch.cuda.device_count()
    if 0 < gpus < settings.processes:
        raise InputError(
            f"train.processes is {settings.processes}, but GPUs here: {gpus}; lower it and raise train.accumulation in turn, or "
            "use several machines (docs/distributed.md)"
        )
    return settings.processes


@contextmanager
def together(settings: TrainSettings) -> Iterator[None]:
    """Join the processes that train together, for as long as the block takes.

    Each is then on a GPU of its own, where there are any.

    Raises:
        InputError: so many processes were started as `settings` do not say, which would change the adapter.
    """
    if world_size() != settings.processes:
        raise InputError(
            f"train.processes is {settings.processes}, but {world_size()} were started: set it to {world_size()}, or start "
            f"{settings.processes}"
        )
    if settings.processes == 1:
        yield
        return
    PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    yield
    torch.distributed.destroy_process_group()


def wait_for_all() -> None:
    """Return once every process is here."""
    if world_size() > 1:
        PartialState().wait_for_everyone()


def of_first(compute: Callable[[], T]) -> T:
    """What `compute`, a picklable object, gives in the first process; in the others it is not called."""
    if world_size() == 1:
        return compute()
    return broadcast_object_list([compute() if is_first() else None])[0]


@contextmanager
def first_on_each_machine() -> Iterator[None]:
    """A block that one process of each machine is done with before the others begin it."""
    if world_size() == 1:
        yield
        return
    with PartialState().local_main_process_first():
        yield


@contextmanager
def resumable_together(stage: str, digest: str) -> Iterator[Path]:
    """`resumable`, as the first process does it; the others are given the same folder.

    Raises:
        InputError: other processes are at this stage in this project, or another machine has another disk.
    """
    with resumable(stage, digest) if is_first() else nullcontext(Path()) as mine:
        scratch = of_first(lambda: mine)
        if not scratch.is_dir():
            raise InputError(
                f"{scratch} of the first process is not on this machine's disk: checkpoints are read by all, so put the "
                "project's folder runs on a disk that all machines share"
            )
        yield scratch
        wait_for_all()  # the others read what lies there
