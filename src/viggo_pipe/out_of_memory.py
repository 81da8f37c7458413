"""Names the settings to change when memory does not suffice, on a GPU or off it."""

from collections.abc import Iterator
from contextlib import contextmanager

from viggo_pipe.errors import InputError, one_line

TRAINING = (
    "lower train.batch_size and raise train.accumulation in turn (at an evaluation: lower train.eval_batch_size), set "
    "train.gradient_checkpointing to true, train.cuda_graph to false, or quantize.bits to 4"
)
PREDICTION = "lower generate.batch_size, set generate.dequantize to false, or quantize.bits to 4"
_WORDS = ("out of memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "not enough memory", "Cannot allocate memory")


@contextmanager
def naming_settings(settings: str) -> Iterator[None]:
    """Turn the libraries' errors of memory, in the block, into one line that ends with `settings`.

    Raises:
        InputError: memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _WORDS):
            raise
        said = one_line(error).split(". ")[0][:120] or "out of memory"
        raise InputError(f"memory does not suffice ({said}): {settings}; `viggo plan` says what fits") from error
