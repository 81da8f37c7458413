"""Where a run would take place, and how much memory there is."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

GB = 1e9  # bytes; what `viggo plan` prints in
NO_GPU = "this machine, without a GPU"
_CUDA = 0.6 * GB  # of a GPU's memory, what CUDA itself takes beside torch's allocator
# What a container may use of its machine's memory, in bytes: control groups of version 2, and of version 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Device:
    """A GPU, or a machine without one.

    Attributes:
        name: what to call it.
        memory: bytes that it has.
        is_gpu: whether it is a GPU.
    """

    name: str
    memory: float
    is_gpu: bool

    @property
    def room(self) -> float:
        """Bytes that a run can use."""
        return self.memory - (_CUDA if self.is_gpu else 0)


def this_device() -> Device:
    """The first GPU, or the CPU with this machine's memory, or as much of it as this container may use."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Device(properties.name, properties.total_memory, True)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _LIMITS:
        try:
            memory = min(memory, int(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return Device(NO_GPU, memory, False)
