"""Training on a CPU as on a GPU: with bf16 autocast, and FSDP's casts as accelerate chooses them.

On a CPU, the library does not ask for autocast, and accelerate knows no FSDP.
"""

import viggo_pipe  # noqa: F401, I001 (before bitsandbytes, which transformers imports: it silences both)
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from accelerate import FullyShardedDataParallelPlugin
from transformers import TrainingArguments

from viggo_pipe.training import arguments, distributed_trainer


def _plugin(**named) -> FullyShardedDataParallelPlugin:
    plugin = FullyShardedDataParallelPlugin(**named)
    plugin.set_mixed_precision("bf16")  # AcceleratorState does, on GPUs
    return plugin


@contextmanager
def bf16_autocast() -> Iterator[None]:
    """Train so within the block."""
    in_bf16 = patch.object(
        arguments, "TrainingArguments", lambda **named: TrainingArguments(**named | {"bf16": True})
    )
    with in_bf16, patch.object(distributed_trainer, "FullyShardedDataParallelPlugin", _plugin):
        yield
