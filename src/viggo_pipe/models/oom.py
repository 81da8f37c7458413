"""Names the settings to change when memory runs out, on a GPU or a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

from viggo_pipe.core.errors import InputError, one_line

TRAINING = (
    "lower train.per_device_train_batch_size and raise train.gradient_accumulation_steps in turn (at an "
    "evaluation: lower train.per_device_eval_batch_size), set "
    "train.gradient_checkpointing to true, train.cuda_graph to false, or quantize.bits to 4"
)
PREDICTION = "lower generate.batch_size, set generate.dequantize to false, or quantize.bits to 4"
_WORDS = (
    "out of memory",
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "not enough memory",
    "Cannot allocate memory",
)


@contextmanager
def explain_out_of_memory(settings: str) -> Iterator[None]:
    """Turn the libraries' out-of-memory errors in the block into one line that ends with `settings`.

    Raises:
        InputError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _WORDS):
            raise
        reason = one_line(error).split(". ")[0][:120] or "no details"
        raise InputError(f"out of memory ({reason}): {settings}; `viggo plan` says what fits") from error
