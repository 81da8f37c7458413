"""An estimate in words, as `viggo plan` prints it."""

import json
from collections.abc import Iterator
from pathlib import Path

from viggo_pipe.cli.planning.device import GB, NO_GPU
from viggo_pipe.cli.planning.estimate import Estimate, items_a_step

_LAST_TRAINING = Path("runs/train.json")


def plan_lines(estimate: Estimate) -> Iterator[str]:
    """Yield a line a subject: model, data, training, memory, device, time."""
    params, train = estimate.params, estimate.params.train
    yield (
        f"model: {estimate.base_parameters:,} parameters in {params.quantize.bits} bits, and an "
        f"adapter's {estimate.adapter_parameters:,}"
    )
    items = "rows" if train.pack_length is None else f"packs of {train.pack_length} tokens"
    processes = f", by {train.num_processes} processes" if train.num_processes > 1 else ""
    for direction, which in zip(estimate.directions, ("", ", reverse"), strict=False):
        yield (
            f"data{which}: {direction.rows:,} training rows, {direction.tokens:,} tokens, at most "
            f"{direction.longest} a row"
        )
        members = f" of {direction.members} members" if direction.members > 1 else ""
        yield (
            f"training{which}: {direction.items:,} {items} an epoch, {items_a_step(train)} a step; "
            f"{direction.steps:,} steps{members}{processes}"
        )
    batch_size = train.per_device_train_batch_size
    training = max(
        estimate.training_memory(batch_size),
        estimate.evaluation_memory(train.per_device_eval_batch_size, batch_size),
    )
    generation = estimate.generation_memory(params.generate.batch_size)
    yield f"memory: about {training / GB:.1f} GB to train, {generation / GB:.1f} GB to predict"
    yield f"device: {estimate.device.name}, {estimate.device.memory / GB:.1f} GB"
    yield f"time: {_time(estimate)}"


def _time(estimate: Estimate) -> str:
    """By the speed of the last training here, if it was of this model on this device."""
    unknown = (
        f"not known before a training of this model on this device, whose speed {_LAST_TRAINING} holds then"
    )
    try:
        run = json.loads(_LAST_TRAINING.read_text(encoding="utf-8"))
        speed, base, gpus = run["tokens_per_second"], run["base"], run["machine"]["gpus"]
    except (OSError, ValueError, KeyError, TypeError):
        return unknown
    device = gpus[0] if gpus else NO_GPU
    if (base, device) != (estimate.base, estimate.device.name):
        return unknown
    if not speed:  # an older run's, that was resumed behind its last step
        return unknown
    minutes = sum(direction.trained for direction in estimate.directions) / speed / 60
    return (
        f"about {minutes:,.0f} min to train, at the last training's {speed:,.0f} tokens/s ({_LAST_TRAINING})"
    )
