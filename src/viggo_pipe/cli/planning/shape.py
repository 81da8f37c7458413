"""What memory depends on of a base model, without a weight."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from viggo_pipe.config.settings.lora import LoraSettings
from viggo_pipe.models.architecture import decoder_layers


@dataclass(frozen=True)
class Shape:
    """The shape of a causal language model.

    Attributes:
        layers: how many decoder layers there are.
        products: each of a layer's matrix products: the module's name, features in, features out.
        hidden: features between layers.
        heads: attention heads.
        cached: features of a token's keys and values in a layer.
        vocabulary: logits a token.
        parameters: all of them.
        quantized: those of the layers' matrix products, which 4 bits are for.
    """

    layers: int
    products: tuple[tuple[str, int, int], ...]
    hidden: int
    heads: int
    cached: int
    vocabulary: int
    parameters: int
    quantized: int


def shape_of(model: PreTrainedModel) -> Shape:
    """The shape of `model`, which needs no weights. Where its layers differ, it is that of the widest one."""
    config = model.config.to_dict()  # where layers differ, the usual one's values
    config |= {name: config.get(meant) for name, meant in model.config.attribute_map.items()}
    layers = decoder_layers(model)
    assert layers is not None  # `check_causal_lm` has seen them
    by_layer = [_products(layer) for layer in layers]
    embedding: Any = model.get_input_embeddings()
    vocabulary, width = embedding.weight.shape
    hidden = config.get("hidden_size") or width
    heads = config.get("num_attention_heads") or 0
    size = config.get("head_dim") or (hidden // heads if heads else 0)
    return Shape(
        layers=len(layers),
        products=max(by_layer, key=_weights),
        hidden=hidden,
        heads=heads,
        cached=2 * size * (config.get("num_key_value_heads") or heads),
        vocabulary=vocabulary,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        quantized=sum(map(_weights, by_layer)),
    )


def _products(layer: torch.nn.Module) -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (name.rsplit(".", 1)[-1], *_features(module))
        for name, module in layer.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
    )


def _features(module: torch.nn.Linear | Conv1D) -> tuple[int, int]:
    given, gives = module.weight.shape if isinstance(module, Conv1D) else module.weight.shape[::-1]
    return given, gives


def _weights(products: tuple[tuple[str, int, int], ...]) -> int:
    return sum(given * gives for _, given, gives in products)


def adapter_parameters(shape: Shape, lora: LoraSettings) -> int:
    """The parameters of an adapter with the settings `lora`."""
    return adapted_layers(shape, lora) * sum(
        lora.r * (given + gives) for _, given, gives in adapted_products(shape, lora)
    )


def adapted_layers(shape: Shape, lora: LoraSettings) -> int:
    """How many decoder layers have an adapter."""
    return shape.layers if lora.upper_layers is None else min(lora.upper_layers, shape.layers)


def adapted_products(shape: Shape, lora: LoraSettings) -> list[tuple[str, int, int]]:
    """Those of a layer's matrix products that have an adapter."""
    targets = lora.target_modules
    if isinstance(targets, str):
        if targets == "all-linear":
            return list(shape.products)
        return [product for product in shape.products if re.search(product[0], targets)]
    return [product for product in shape.products if product[0] in targets]
