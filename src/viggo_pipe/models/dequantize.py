"""Expands 4-bit weights once, instead of at each decoding step."""

import copy
from typing import Any, cast

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel


@torch.no_grad()
def dequantize(model: PreTrainedModel) -> None:
    """Replace the 4-bit layers of `model` by 16-bit ones, and merge their adapters.

    A layer and its adapter are added in fp32 and rounded once. Adding to rounded weights would lose changes
    of less than half of a weight's last bit (peft#2321 measures such losses).
    """
    for name, module in list(model.named_modules()):
        layer = module.get_base_layer() if isinstance(module, LoraLayer) else module
        if not isinstance(layer, Linear4bit) or name.endswith(".base_layer"):
            continue
        state = copy.copy(cast(Params4bit, layer.weight).quant_state)
        state.dtype = torch.float32
        weight = dequantize_4bit(layer.weight.data, state)
        if isinstance(module, LoraLayer):
            lora: Any = module  # each kind of layer has its own get_delta_weight
            for adapter in lora.active_adapters:
                weight += lora.get_delta_weight(adapter).float()
        has_bias = layer._parameters["bias"] is not None
        plain = torch.nn.Linear(layer.in_features, layer.out_features, has_bias, device="meta")
        plain.weight = torch.nn.Parameter(weight.to(layer.compute_dtype), requires_grad=False)
        plain.bias = layer.bias
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, plain)
