"""Which layers their LoRA can be fused into. `viggo check` knows it of layers without weights."""

from typing import Any

import torch

from viggo_pipe.core.errors import InputError

_FLOAT8_WIDTH = 16  # what torch's product of float8 matrices takes multiples of


def check_fusable(layer: Any, float8: bool) -> None:
    """Check the adapter on `layer`, peft's LoRA layer, and the layer's widths.

    Raises:
        InputError: the adapter has dropout, which W + s B A cannot have; or a width is not a multiple of 16,
            as `float8` needs it.
    """
    if any(not isinstance(dropout, torch.nn.Identity) for dropout in layer.lora_dropout.values()):
        raise InputError(
            "train.fuse_lora cannot have dropout: set lora.lora_dropout to 0, or train.fuse_lora to false"
        )
    if float8 and (layer.in_features % _FLOAT8_WIDTH or layer.out_features % _FLOAT8_WIDTH):
        raise InputError(
            f"train.float8 needs layers whose widths are multiples of {_FLOAT8_WIDTH}, but one is "
            f"{layer.in_features} to {layer.out_features} wide: set it to false"
        )
