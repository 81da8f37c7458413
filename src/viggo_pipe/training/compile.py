"""Compiles the decoder layers, and has them compute again, in the backward pass, what costs less to compute
than to keep.

torch.compile keeps what a product in the backward pass needs: the norms' outputs and the MLP's widest tensor
too, though reading their inputs again is all that they cost. Selective activation checkpointing
(torch.utils.checkpoint, `create_selective_checkpoint_contexts`) keeps the outputs of matrix products and of
attention alone.
"""

from functools import partial
from types import MethodType
from typing import Any

import torch
from peft import PeftModel
from torch.utils.checkpoint import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from viggo_pipe.models.architecture import base_of, decoder_layers

_KEPT = frozenset(
    {
        "aten.mm",
        "aten.addmm",
        "aten.bmm",
        "aten._scaled_mm",
        "aten._scaled_dot_product_cudnn_attention",
        "aten._scaled_dot_product_efficient_attention",
        "aten._scaled_dot_product_flash_attention",
        "aten._scaled_dot_product_flash_attention_for_cpu",
        "bitsandbytes.gemm_4bit",
        "torch_attn._varlen_attn",
        "viggo_pipe.fused_linear",
    }
)


def compile_layers(model: PeftModel, recompute: bool, backend: str = "inductor") -> None:
    """Compile each decoder layer: they share one code, so that it is compiled once, where the whole model
    takes minutes.

    Args:
        recompute: keep the outputs of matrix products and of attention alone for the backward pass.
        backend: torch.compile's.
    """
    layers = decoder_layers(base_of(model))
    assert layers is not None  # `check_causal_lm` has seen them
    layer: Any
    for layer in layers:
        if recompute:
            layer.forward = MethodType(_recomputing_forward, layer)
        layer.compile(dynamic=False, backend=backend)


# One function, bound to each layer: torch.compile compiles a code object once. A function made for each layer
# would be compiled as often as there are layers.
def _recomputing_forward(layer: torch.nn.Module, *arguments: Any, **named: Any) -> Any:
    return checkpoint(
        type(layer).forward, layer, *arguments, use_reentrant=False, context_fn=_CONTEXTS, **named
    )


def _policy(
    context: SelectiveCheckpointContext, operator: torch._ops.OpOverload, *arguments: Any, **named: Any
) -> CheckpointPolicy:
    if str(operator.overloadpacket) in _KEPT:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE


_CONTEXTS = partial(create_selective_checkpoint_contexts, _policy)
