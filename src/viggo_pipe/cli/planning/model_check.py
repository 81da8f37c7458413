"""Whether the base model can be trained and predict as params.yaml says. The stages check the same."""

from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers.pytorch_utils import Conv1D

from viggo_pipe.augment.robustness_sets import robustness_sets
from viggo_pipe.cli.planning.estimate import Estimate
from viggo_pipe.cli.planning.sources import Sources
from viggo_pipe.core.errors import InputError
from viggo_pipe.decoding.generate import check_prompts
from viggo_pipe.models.architecture import base_of
from viggo_pipe.training.fusable import check_fusable
from viggo_pipe.training.lora import add_adapter
from viggo_pipe.training.rows import check_rows, with_something_to_learn


def check_model(estimate: Estimate, sources: Sources) -> str:
    """Check the model of `estimate` against its rows and its adapter, without a weight; what was checked.

    Raises:
        InputError: the model cannot be trained on the rows, cannot have the adapter, or cannot take a prompt.
    """
    params, model, encoder = estimate.params, estimate.model, estimate.encoder
    pad_token_id: Any = sources.tokenizer.pad_token_id
    for directions in estimate.rows.values():
        for rows in directions[: len(estimate.directions)]:
            check_rows(model, with_something_to_learn(rows, params.train), pad_token_id, params.train)
    predicted = sources.splits[params.generate.split]
    sets = robustness_sets(predicted, params.robustness)
    sentences = [row["sentence"] for rows in (predicted, *sets.values()) for row in rows]
    prompts = [encoder.prompt(sentence) for sentence in sentences]
    check_prompts(model, encoder, sentences, prompts, params.generate)
    adapted = add_adapter(model, params.lora, params.train)
    if params.train.fuse_lora:
        _check_fusable(adapted, params.train.float8 and estimate.device.is_gpu)
    longest = max(direction.longest for direction in estimate.directions)
    trainable, _ = adapted.get_nb_trainable_parameters()
    return (
        f"training: {type(model).__name__} takes rows of {longest:,} tokens and an adapter of {trainable:,} "
        "parameters"
    )


def _check_fusable(model: PeftModel, float8: bool) -> None:
    """Check of `model` without weights what `fuse_lora` does once there are some.

    bitsandbytes quantizes no output head, no embedding, and no layer of the model's own kind.
    """
    for name, layer in model.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        is_head = layer is base_of(model).get_output_embeddings()
        if is_head or type(layer.get_base_layer()) not in (torch.nn.Linear, Conv1D):
            raise InputError(
                f"train.fuse_lora needs weights in NF4, but {name} stays in 16 bits: leave it out of "
                "lora.target_modules, or set train.fuse_lora to false"
            )
        check_fusable(layer, float8)
