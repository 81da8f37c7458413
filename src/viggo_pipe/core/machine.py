"""What a run ran on: processor, GPUs, and the versions of the libraries that its figures depend on."""

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

_PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


def describe_machine() -> dict[str, str | int | list[str] | dict[str, str]]:
    """`system`, `processor`, `cores`, `gpus` (names), and `versions` of Python and the libraries.

    torch is asked for GPUs only where this process has imported it: a stage that has not, uses none.
    """
    cuda = _cuda()
    gpus = [] if cuda is None else [cuda.get_device_name(index) for index in range(cuda.device_count())]
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "gpus": gpus,
        "versions": versions,
    }


def peak_memory() -> dict[str, int]:
    """`peak_memory_mib`, the largest resident size of this process; on a GPU also `peak_gpu_memory_mib`, the
    most that torch reserved.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    found = {"peak_memory_mib": round(peak / unit)}
    cuda = _cuda()
    if cuda is not None:
        found["peak_gpu_memory_mib"] = round(cuda.max_memory_reserved() / 2**20)
    return found


def _cuda() -> ModuleType | None:
    """torch.cuda where it finds a GPU."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
