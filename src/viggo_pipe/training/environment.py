"""What a training may know of its environment: which of several processes it is, not how to train."""

import os

from viggo_pipe.core.errors import InputError

# accelerate reads how to train from these too, and takes them for settings that its caller leaves open.
# What can change the adapter stands in params.yaml.
_SETTINGS = ("ACCELERATE_", "DEEPSPEED_", "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_")
_NUMBERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")
_NEEDED = ("LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def settle_environment() -> None:
    """Take out of the environment what must not count: settings for accelerate, and what a launcher left
    that did not start this process as one of several.

    Raises:
        InputError: it names this process's place among several, and not as torchrun would.
    """
    for variable in list(os.environ):
        if variable.startswith(_SETTINGS):
            del os.environ[variable]
    for variable in _NUMBERS:
        value = os.environ.get(variable, "")
        if value.isdecimal():
            os.environ[variable] = str(int(value))
        elif value:
            raise InputError(f"the environment's {variable} is {value!r}, which is no number: unset it")
    rank, size = (int(os.environ.get(name) or default) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
    if not os.environ.get("RANK") or (size <= 1 and rank == 0):
        for variable in _NUMBERS:
            os.environ.pop(variable, None)
        return
    if rank >= size:
        raise InputError(
            f"the environment's RANK is {rank}, but WORLD_SIZE {size}: unset both, or start the processes "
            "with torchrun (docs/distributed.md)"
        )
    for variable in _NEEDED:
        if not os.environ.get(variable):
            raise InputError(
                f"the environment has RANK and WORLD_SIZE, but no {variable}: unset them, or start the "
                "processes with torchrun (docs/distributed.md)"
            )
