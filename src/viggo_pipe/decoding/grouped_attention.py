"""Attention of single tokens over a cache, without transformers' copies of the cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from viggo_pipe.models.architecture import base_of

_NAME = "viggo_grouped"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """sdpa in transformers' interface, which does not copy keys for each of the heads that share them.

    All heads of a group see the same for one token. So they can stand where tokens stand.
    """
    rows, heads, tokens, size = query.shape
    if tokens > 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **others)
    grouped = query.reshape(rows, key.shape[1], -1, size)
    seen = functional.scaled_dot_product_attention(
        grouped, key, value, attention_mask, scale=others["scaling"]
    )
    return seen.reshape(rows, 1, heads, -1), None


AttentionInterface.register(_NAME, grouped_attention)


@contextmanager
def with_grouped_attention(model: PreTrainedModel) -> Iterator[None]:
    """Let `model` use `grouped_attention` in the block."""
    base = base_of(model)
    usual = cast(str, base.config._attn_implementation)
    base.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        base.set_attn_implementation(usual)
