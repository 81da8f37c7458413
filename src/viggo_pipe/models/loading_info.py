"""What transformers says about a loading: whether each tensor of the model was found, and no other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging as transformers_logging

_SHOWN = 2  # names


@contextmanager
def only_errors() -> Iterator[None]:
    """Keep transformers from printing its report about a loading, a table of many lines, and its bars."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def loading_fault(loading: Mapping[str, Any]) -> str | None:
    """What is wrong in words, if anything: tensors that are missing, which transformers fills with random
    values; of another shape; or left over.

    Tied weights, and what the model's class ignores, are not among them.

    Args:
        loading: the second of what `from_pretrained` returns under `output_loading_info`.
    """
    faults = {
        "missing": loading["missing_keys"],
        "of another shape": {name for name, *_ in loading["mismatched_keys"]},
        "left over": loading["unexpected_keys"],
        "not read": loading["error_msgs"],
    }
    said = [
        f"{len(names):,} {what} ({', '.join(sorted(names)[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for what, names in faults.items()
        if names
    ]
    return f"of its tensors {'; '.join(said)}" if said else None
