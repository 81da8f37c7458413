"""Expands 4-bit weights once, instead of at each decoding step."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import copy

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel


@torch.no_grad()
def dequantize(model: PreTrainedModel) -> None:
    """Replace the 4-bit layers of `model` by ones in the dtype that they compute in, 16 bits; their adapters are added in.

    A layer and its adapter are added in fp32 and rounded once. Added to weights that are rounded already, what an adapter
    changes by less than half of a weight's last bit would be lost (peft#2321 measures such losses).
    """
    for name, module in list(model.named_modules()):
        layer = module.get_base_layer() if isinstance(module, LoraLayer) else module
        if not isinstance(layer, Linear4bit) or name.endswith(".base_layer"):
            continue
        state = copy.copy(layer.weight.quant_state)
        state.dtype = torch.float32
        weight = dequantize_4bit(layer.weight.data, state)
        if isinstance(module, LoraLayer):
            for adapter in module.active_adapters:
                weight += module.get_delta_weight(adapter).float()
        plain = torch.nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        plain.weight = torch.nn.Parameter(weight.to(layer.compute_dtype), requires_grad=False)
        plain.bias = layer.bias
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, plain)
