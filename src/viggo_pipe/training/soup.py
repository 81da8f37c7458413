"""A model soup: several adapters, trained alike but for their seed, averaged into one.

Reverse adapters, from meaning representation to sentence, are trained after them. They have an average of
their own.
"""

import copy
import dataclasses
import gc
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import set_seed

from viggo_pipe.config.settings.runtime import RuntimeSettings
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.checksums import is_complete, mark_complete
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import explaining_full_disk
from viggo_pipe.models.adapter import DEFAULT, REVERSE
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.storage import Tokens
from viggo_pipe.training.averaging import average_adapters
from viggo_pipe.training.callback import Diverged
from viggo_pipe.training.distributed import barrier, broadcast_from_main, is_main_process
from viggo_pipe.training.train import TrainingResult, prepare_for_training, train_adapter, validation_loss


class _Member(NamedTuple):
    """One training of the soup, on the rows of one direction."""

    seed: int
    train_rows: TokenRows
    validation_rows: TokenRows
    name: str
    is_reverse: bool


def train_soup(
    model: PeftModel,
    train: Tokens,
    validation: Tokens,
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> TrainingResult:
    """Train `settings.soup_members` adapters on `model`, one after another, and make their average its
    adapter.

    Member i is what a training with the seed `settings.seed` + i gives: its initial adapter, its order of
    rows and its dropout are other ones. The loss curve's steps go on from one member to the next.
    `settings.reverse_members` are trained in the same way on the reverse rows, and their average is the
    adapter `REVERSE` of `model`. Of them, the result has tokens and seconds alone. A finished member lies in
    `scratch`, and is not trained again after a kill.

    Raises:
        InputError: as `train_adapter`; or there are no rows for `reverse_members`.
    """
    members = _members(settings, train, validation)
    # Before layers are compiled: for a module that gets another adapter they would be compiled again.
    initial = [None, *(_initial_weights(model, member.seed) for member in members[1:])]
    prepare_for_training(model, settings)
    if len(members) == 1:
        return train_adapter(model, train.rows, validation.rows, pad_token_id, settings, runtime, scratch)
    folders = [scratch / f"member-{index}" for index in range(len(members))]
    for index, (member, weights, folder) in enumerate(zip(members, initial, folders, strict=True)):
        if broadcast_from_main(lambda folder=folder: is_complete(folder)):
            continue
        print(f"{member.name}, seed {member.seed}", flush=True)
        if weights is not None:
            _start_anew(model, weights)
        own = settings.model_copy(update={"seed": member.seed})
        training = scratch / f"training-{index}"
        training.mkdir(exist_ok=True)
        try:
            trained = train_adapter(
                model, member.train_rows, member.validation_rows, pad_token_id, own, runtime, training
            )
        except Diverged as error:
            if member.is_reverse:  # whose checkpoints answer with sentences, and are not worth keeping
                raise InputError(f"{member.name}: {error}") from error
            raise
        if is_main_process():
            _save_member(trained, folder)
            shutil.rmtree(training)
        barrier()
    results = [_read_result(model, folder) for folder in folders]
    answering = results[: settings.soup_members]
    _put_averages(model, [load_file(folder / _WEIGHTS) for folder in folders], settings)
    loss = answering[0].validation_loss
    if len(answering) > 1:
        loss = validation_loss(
            model, validation.rows, pad_token_id, settings, runtime, scratch / "evaluation"
        )
        losses = ", ".join(f"{result.validation_loss:.4f}" for result in answering)
        print(f"loss on validation: {losses}; of their average {loss:.4f}", flush=True)
    return TrainingResult(
        model,
        _joined(answering),
        loss,
        tokens=sum(result.tokens for result in results),
        seconds=sum(result.seconds for result in results),
    )


def _members(settings: TrainSettings, train: Tokens, validation: Tokens) -> list[_Member]:
    if settings.reverse_members and not (train.reverse_rows and validation.reverse_rows):
        raise InputError(
            "train.reverse_members: the tokenized rows have no reverse rows; run `dvc repro tokenize`"
        )
    directions = (
        (settings.soup_members, train.rows, validation.rows, False),
        (settings.reverse_members, train.reverse_rows, validation.reverse_rows, True),
    )
    return [
        _Member(
            settings.seed + index,
            *rows,
            name=f"{'reverse ' if is_reverse else ''}member {index + 1} of {count}",
            is_reverse=is_reverse,
        )
        for count, *rows, is_reverse in directions
        for index in range(count)
    ]


def _put_averages(
    model: PeftModel, members: Sequence[dict[str, torch.Tensor]], settings: TrainSettings
) -> None:
    """Make the averages of either direction's members the adapters of `model`; one member stays as it was
    trained.
    """
    answering, reverse = members[: settings.soup_members], members[settings.soup_members :]
    for name, some in ((REVERSE, reverse), (DEFAULT, answering)):
        if len(some) > 1:
            average_adapters(model, some, settings.soup_rank, name)
        elif some:
            if name not in model.peft_config:
                model.add_adapter(name, copy.copy(model.peft_config[DEFAULT]))
            set_peft_model_state_dict(model, some[0], adapter_name=name)


def _initial_weights(model: PeftModel, seed: int) -> dict[str, torch.Tensor]:
    """The weights of an untrained adapter like that of `model`, as `lora.add_adapter` draws them with this
    seed.

    To draw them in place would give other ones: peft draws each matrix twice as it makes it, and on the CPU.
    """
    set_seed(seed)
    model.add_adapter("untrained", model.peft_config[DEFAULT])
    weights = {
        name: weight.clone()
        for name, weight in get_peft_model_state_dict(model, adapter_name="untrained").items()
    }
    model.delete_adapter("untrained")
    return weights


def _start_anew(model: PeftModel, initial: dict[str, torch.Tensor]) -> None:
    """Put `initial` into the adapter of `model`, and forget what training it left."""
    set_peft_model_state_dict(model, initial, adapter_name=DEFAULT)
    for parameter in model.parameters():
        parameter.grad = None
    gc.collect()  # the last Trainer, whose parts know each other, and a CUDA graph's memory with it


_WEIGHTS = "adapter.safetensors"
_RESULT = "result.json"


def _save_member(result: TrainingResult, folder: Path) -> None:
    with explaining_full_disk(folder):
        folder.mkdir(exist_ok=True)
        weights = {
            name: tensor.contiguous().cpu()
            for name, tensor in get_peft_model_state_dict(result.model).items()
        }
        save_file(weights, folder / _WEIGHTS)
        measured = {
            field.name: getattr(result, field.name)
            for field in dataclasses.fields(result)
            if field.name != "model"
        }
        (folder / _RESULT).write_text(json.dumps(measured), encoding="utf-8")
        mark_complete(folder)


def _read_result(model: PeftModel, folder: Path) -> TrainingResult:
    return TrainingResult(model=model, **json.loads((folder / _RESULT).read_text(encoding="utf-8")))


def _joined(results: Sequence[TrainingResult]) -> list[dict[str, Any]]:
    curve: list[dict[str, Any]] = []
    before = 0
    for result in results:
        curve += [{**point, "step": before + int(point["step"])} for point in result.losses]
        before = int(curve[-1]["step"])
    return curve
