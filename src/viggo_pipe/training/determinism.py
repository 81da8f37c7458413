"""The same adapter twice on one GPU: kernels that add up in one order, whatever thread comes first."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._inductor import config as compiler

from viggo_pipe.core.errors import InputError, one_line


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """If `wanted`, what the block computes is the same at each run with the same GPU and the same versions.

    Begin it before anything is on the GPU: cuBLAS reads its workspace's size once. Attention's backward pass
    then sums in one order (FlashAttention's and the memory-efficient one have such a mode, cuDNN's is left
    out), scattered gradients are sorted and not added atomically, and compiled kernels are chosen without
    timing them. The Trainer's `full_determinism` would begin when the model is on the GPU already, and
    launches kernels one by one.

    Raises:
        InputError: something has no deterministic algorithm.
    """
    if not wanted:
        yield
        return
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    try:
        with compiler.patch(deterministic=True):
            yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = one_line(error).partition(",")[0]
        raise InputError(
            f"{reason}: set train.full_determinism to false, or do without what needs it"
        ) from error
    finally:
        torch.use_deterministic_algorithms(False)
