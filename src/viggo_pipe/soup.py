"""A model soup: several adapters, trained alike but for their seed, averaged into one.

Wortsman et al. 2022 (arXiv:2203.05482) average weights. Of an adapter it is the update B A that is averaged, exactly: the
factors of the members stand side by side in those of the soup, whose rank is the sum of theirs. A lower rank is the best
approximation of that (Eckart and Young 1936).

Adapters of the other direction, from meaning representation to sentence, are trained after them and averaged for themselves.
"""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import dataclasses
import gc
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import set_seed

from viggo_pipe.adapter import DEFAULT, REVERSE
from viggo_pipe.distributed import is_first, of_first, wait_for_all
from viggo_pipe.errors import InputError
from viggo_pipe.files import explaining_full_disk
from viggo_pipe.prompt import Example
from viggo_pipe.resume import is_complete, mark_complete
from viggo_pipe.settings.runtime import RuntimeSettings
from viggo_pipe.settings.train import TrainSettings
from viggo_pipe.tokens import Tokens
from viggo_pipe.training import TrainingResult, prepare_for_training, train_adapter, validation_loss
from viggo_pipe.watcher import Diverged


class _Member(NamedTuple):
    """A training of its own, of the rows of one direction."""

    seed: int
    train_rows: Sequence[Example]
    validation_rows: Sequence[Example]
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
    """Train the adapter of `model`, or with `settings.soup_members` so many one after another, and average them.

    Member i is what a training with the seed `settings.seed` + i gives: its initial adapter, its order of rows and its dropout
    are other ones. The loss curve's steps go on from one member to the next. `settings.reverse_members` are trained in the same
    way on the rows of the other direction, and their average is the adapter `REVERSE` of `model`; of them, the result has tokens
    and seconds alone. Members that have come to their end lie in `scratch`, and are not trained again after a kill.

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
        if of_first(lambda folder=folder: is_complete(folder)):
            continue
        print(f"{member.name}, seed {member.seed}", flush=True)
        if weights is not None:
            _start_anew(model, weights)
        own = settings.model_copy(update={"seed": member.seed})
        training = scratch / f"training-{index}"
        training.mkdir(exist_ok=True)
        try:
            trained = train_adapter(model, member.train_rows, member.validation_rows, pad_token_id, own, runtime, training)
        except Diverged as error:
            if member.is_reverse:  # whose checkpoints answer with sentences, and are not worth keeping
                raise InputError(f"{member.name}: {error}") from error
            raise
        if is_first():
            _save_member(trained, folder)
            shutil.rmtree(training)
        wait_for_all()
    results = [_read_result(folder) for folder in folders]
    answering = results[: settings.soup_members]
    _put_averages(model, [load_file(folder / _WEIGHTS) for folder in folders], settings)
    loss = answering[0].validation_loss
    if len(answering) > 1:
        loss = validation_loss(model, validation.rows, pad_token_id, settings, runtime, scratch / "evaluation")
        apart = ", ".join(f"{result.validation_loss:.4f}" for result in answering)
        print(f"loss on validation: {apart}; of their average {loss:.4f}", flush=True)
    return TrainingResult(
        model,
        _joined(answering),
        loss,
        tokens=sum(result.tokens for result in results),
        seconds=sum(result.seconds for result in results),
    )


def _members(settings: TrainSettings, train: Tokens, validation: Tokens) -> list[_Member]:
    if settings.reverse_members and not (train.reverse_rows and validation.reverse_rows):
        raise InputError("train.reverse_members learn a direction that the tokenized rows do not have; run `dvc repro tokenize`")
    directions = (
        (settings.soup_members, train.rows, validation.rows, False),
        (settings.reverse_members, train.reverse_rows, validation.reverse_rows, True),
    )
    return [
        _Member(
            settings.seed + index,
            *rows,
            name=f"member {index + 1} of {count}{' of the other direction' if is_reverse else ''}",
            is_reverse=is_reverse,
        )
        for count, *rows, is_reverse in directions
        for index in range(count)
    ]


def _put_averages(model: PeftModel, members: Sequence[dict[str, torch.Tensor]], settings: TrainSettings) -> None:
    """Make the averages of either direction's members the adapters of `model`; one member stays as it was trained."""
    answering, reverse = members[: settings.soup_members], members[settings.soup_members :]
    if reverse:
        average_adapters(model, reverse, settings.soup_rank, REVERSE)
    if len(answering) == 1:
        set_peft_model_state_dict(model, answering[0], adapter_name=DEFAULT)
    else:
        average_adapters(model, answering, settings.soup_rank)


def average_adapters(
    model: PeftModel, members: Sequence[dict[str, torch.Tensor]], rank: int | None = None, name: str = DEFAULT
) -> None:
    """Make the mean of the updates of `members`, peft's state dicts of adapters like that of `model`, its adapter `name`.

    Args:
        rank: of the new adapter; null, or more than the sum of the members' ranks: that sum, and the mean is exact.
        name: `DEFAULT`: in the place of the adapter that `model` has; another one: beside it.
    """
    config = model.peft_config[DEFAULT]
    names = [f"member-{index}" for index in range(len(members))]
    for member, weights in zip(names, members, strict=True):
        model.add_adapter(member, config)
        set_peft_model_state_dict(model, weights, adapter_name=member)
    if name in model.peft_config:
        model.set_adapter(names[0])
        model.delete_adapter(name)
    model.add_weighted_adapter(names, [1 / len(names)] * len(names), name, combination_type="cat")
    model.peft_config[name].target_modules = config.target_modules  # which peft joins, one member's to the other's
    model.set_adapter(name)
    for member in names:
        model.delete_adapter(member)
    if rank is not None and rank < model.peft_config[name].r:
        _reduce(model, rank, name)
    model.set_adapter(DEFAULT)


def _reduce(model: PeftModel, rank: int, name: str) -> None:
    """Put the best approximation of this rank in the place of each update of the adapter `name` of `model`."""
    full = get_peft_model_state_dict(model, adapter_name=name)
    config = dataclasses.replace(model.peft_config[name], r=rank, lora_alpha=rank)
    scaling = model.peft_config[name].lora_alpha / model.peft_config[name].r
    reduced = {}
    for key in full:
        if "lora_A" in key:
            to_b = key.replace("lora_A", "lora_B")
            reduced[key], reduced[to_b] = best_factors(full[key], scaling * full[to_b], rank)
    model.add_adapter("reduced", config)
    model.set_adapter("reduced")
    model.delete_adapter(name)
    model.add_adapter(name, config)
    set_peft_model_state_dict(model, reduced, adapter_name=name)
    model.set_adapter(name)
    model.delete_adapter("reduced")


def best_factors(a: torch.Tensor, b: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors of the matrix of `rank` that is nearest to `b` @ `a` in the Frobenius norm.

    Of the product, which is as large as the weight that it updates, nothing is computed: with B = Q R and A' = P S, its singular
    values are those of R S', which is as small as the rank that it has.

    Args:
        a: of shape (r, in). b: (out, r).

    Returns:
        Factors of shapes (rank, in) and (out, rank), of the given ones' dtype and on their device, computed in fp64 on the CPU.
    """
    q, r = torch.linalg.qr(b.cpu().double())
    p, s = torch.linalg.qr(a.cpu().double().T)
    left, values, right = torch.linalg.svd(r @ s.T)
    root = values[:rank].sqrt()
    near_a, near_b = root.unsqueeze(1) * right[: len(root)] @ p.T, q @ left[:, : len(root)] * root
    beyond = rank - len(root)  # of a weight that has fewer rows or columns
    return functional.pad(near_a, (0, 0, 0, beyond)).to(a), functional.pad(near_b, (0, beyond)).to(b)


def _initial_weights(model: PeftModel, seed: int) -> dict[str, torch.Tensor]:
    """The weights of an untrained adapter like that of `model`, as `lora.add_adapter` draws them with this seed.

    To draw them in place would give other ones: peft draws each matrix twice as it makes it, and on the CPU.
    """
    set_seed(seed)
    model.add_adapter("untrained", model.peft_config[DEFAULT])
    weights = {name: weight.clone() for name, weight in get_peft_model_state_dict(model, adapter_name="untrained").items()}
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
        weights = {name: tensor.contiguous().cpu() for name, tensor in get_peft_model_state_dict(result.model).items()}
        save_file(weights, folder / _WEIGHTS)
        measured = {field.name: getattr(result, field.name) for field in dataclasses.fields(result) if field.name != "model"}
        (folder / _RESULT).write_text(json.dumps(measured), encoding="utf-8")
        mark_complete(folder)


def _read_result(folder: Path) -> TrainingResult:
    return TrainingResult(model=None, **json.loads((folder / _RESULT).read_text(encoding="utf-8")))


def _joined(results: Sequence[TrainingResult]) -> list[dict[str, str | float]]:
    curve, before = [], 0
    for result in results:
        curve += [{**point, "step": before + point["step"]} for point in result.losses]
        before = curve[-1]["step"]
    return curve
