"""Compiles the decoder layers, and has them compute again, in the backward pass, what costs less to compute than to keep.

torch.compile keeps what a product in the backward pass needs: the norms' outputs and the MLP's widest tensor too, though
reading their inputs again is all that they cost. Selective activation checkpointing (torch.utils.checkpoint,
`create_selective_checkpoint_contexts`) keeps the outputs of matrix products and of attention alone.
"""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
from functools import cache, partial

import torch
from peft import PeftModel
from torch.utils.checkpoint import CheckpointPolicy, SelectiveCheckpointContext, checkpoint, create_selective_checkpoint_contexts

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
        "viggo_pipe.folded_linear",
    }
)


def compile_layers(model: PeftModel, recompute: bool, backend: str = "inductor") -> None:
    """Compile each decoder layer: they share one code, so that it is compiled once, where the whole model takes minutes.

    Args:
        recompute: keep the outputs of matrix products and of attention alone for the backward pass.
        backend: torch.compile's.
    """
    for layer in model.get_base_model().get_decoder().layers:
        if recompute:
            layer.__class__ = _recomputing(type(layer))
        layer.compile(dynamic=False, backend=backend)


@cache
def _recomputing(kind: type[torch.nn.Module]) -> type[torch.nn.Module]:
    class RecomputingLayer(kind):
        # A class of the layers': a function put on each of them would be other code in each, and compiled as often.
        def forward(self, *arguments, **named):
            return checkpoint(super().forward, *arguments, use_reentrant=False, context_fn=_CONTEXTS, **named)

    return RecomputingLayer


def _policy(context: SelectiveCheckpointContext, operator: torch._ops.OpOverload, *arguments, **named) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if str(operator.overloadpacket) in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE


_CONTEXTS = partial(create_selective_checkpoint_contexts, _policy)
