"""What memory depends on of a base model. It is read from config.json, without a weight."""

import re
from dataclasses import dataclass

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from viggo_pipe.config.settings.lora import LoraSettings
from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.models.base_model import BaseCheckpoint


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


def shape_of(base: BaseCheckpoint) -> Shape:
    """The shape of `base`.

    Raises:
        InputError: there is no config.json, or transformers does not know the architecture.
    """
    try:
        config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        layers = model.get_decoder().get_submodule("layers")
        if not isinstance(layers, torch.nn.ModuleList):
            raise TypeError("its decoder has no list of layers")
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{base.name}: cannot make out the model's shape in {base.folder} ({one_line(error)[:200]})"
        ) from error
    products = tuple(
        (name.rsplit(".", 1)[-1], module.in_features, module.out_features)
        for name, module in layers[0].named_modules()
        if isinstance(module, torch.nn.Linear)
    )
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return Shape(
        layers=len(layers),
        products=products,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        cached=2 * size * key_heads,
        vocabulary=config.vocab_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        quantized=len(layers) * sum(given * gives for _, given, gives in products),
    )


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
