"""What does not fit on the device, and settings that would."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from viggo_pipe.cli.planning.device import GB
from viggo_pipe.cli.planning.estimate import Estimate

_Memory = Callable[[int], float]  # bytes, by the batch size


def misfits(estimate: Estimate) -> Iterator[str]:
    """Yield a line for each step that does not fit, with settings that would."""
    params, train, generate = estimate.params, estimate.params.train, estimate.params.generate
    smaller_weights = {"quantize.bits to 4": params.quantize.bits != 4}
    a_step = train.per_device_train_batch_size * train.gradient_accumulation_steps
    sizes = [size for size in range(train.per_device_train_batch_size, 0, -1) if a_step % size == 0]
    yield from _misfit(
        "training",
        estimate,
        estimate.training_memory,
        sizes,
        lambda size: (
            f"train.per_device_train_batch_size to {size} and train.gradient_accumulation_steps to "
            f"{a_step // size}, as many rows a step"
        ),
        {
            "train.gradient_checkpointing to true": not train.gradient_checkpointing,
            **smaller_weights,
            "lora.upper_layers to fewer layers": True,
        },
    )
    trained = _first_that_fits(estimate, estimate.training_memory, sizes) or sizes[-1]
    yield from _misfit(
        "evaluation",
        estimate,
        partial(estimate.evaluation_memory, trained=trained),
        _halvings(train.per_device_eval_batch_size),
        lambda size: f"train.per_device_eval_batch_size to {size}",
        {"train.cuda_graph to false": estimate.graphed, **smaller_weights},
    )
    expands = params.quantize.bits == 4 and generate.dequantize
    yield from _misfit(
        "prediction",
        estimate,
        estimate.generation_memory,
        _halvings(generate.batch_size),
        lambda size: f"generate.batch_size to {size}",
        {**smaller_weights, "generate.dequantize to false": expands},
    )


def _misfit(
    what: str,
    estimate: Estimate,
    memory: _Memory,
    sizes: Sequence[int],
    advice: Callable[[int], str],
    others: Mapping[str, bool],
) -> Iterator[str]:
    """Yield a line if `what` does not fit with the first of `sizes`, by the `memory` that it takes.

    It has the `advice` for the first of them that fits; if none does, those of the `others` that can still be
    set.
    """
    size = _first_that_fits(estimate, memory, sizes)
    if size == sizes[0]:
        return
    if size is not None:
        settings = [advice(size)]
    else:
        settings = [setting for setting, can_be_set in others.items() if can_be_set]
    device = estimate.device
    advised = f"set {' or '.join(settings)}" if settings else "take a smaller base model"
    needs, has = memory(sizes[0]) / GB, device.memory / GB
    yield f"{what} needs about {needs:.1f} GB, but {device.name} has {has:.1f} GB: {advised}"


def _first_that_fits(estimate: Estimate, memory: _Memory, sizes: Sequence[int]) -> int | None:
    return next((size for size in sizes if memory(size) <= estimate.device.room), None)


def _halvings(size: int) -> list[int]:
    """`size`, its half, and so on, down to 1."""
    return [size >> number for number in range(size.bit_length())]
