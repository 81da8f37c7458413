"""A model that takes packed rows. Each attends to itself alone; logits are computed where they are needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv

from viggo_pipe.core.errors import InputError
from viggo_pipe.models.architecture import isolation_obstacle
from viggo_pipe.tokens.collate import IGNORED


def take_packs(model: PeftModel, longest: int) -> None:
    """Have `model` take a `PackCollator`'s batches in place of its usual ones, and give their loss.

    On a GPU that has FlashAttention's kernels, attention computes nothing between rows; elsewhere a mask
    hides them.

    Args:
        longest: tokens of the longest row.

    Raises:
        InputError: rows of a pack could not be kept apart in this model.
    """
    base: Any = model.get_base_model()
    check_packing(base, longest)
    if _has_varlen(base):
        base.set_attn_implementation(_VARLEN)
    model.forward = partial(_packed_forward, base)


def check_packing(model: PreTrainedModel, longest: int) -> None:
    """Check that `model` gives rows in packs, of at most `longest` tokens each, the loss that it gives them
    apart.

    Raises:
        InputError: it does not.
    """
    obstacle = isolation_obstacle(model, longest)
    if obstacle is not None:
        raise InputError(
            f"train.pack_length: rows of a pack cannot be kept apart in {type(model).__name__}: {obstacle}; "
            "set it to null"
        )


def _has_varlen(model: PreTrainedModel) -> bool:
    """Whether `_varlen_attention` can take the place of the attention of `model`, on its device."""
    config = model.config
    if config._attn_implementation == _VARLEN:
        return True
    return (
        model.device.type == "cuda"
        and model.dtype == torch.bfloat16
        and torch.cuda.get_device_capability() >= (8, 0)
        and config._attn_implementation == "sdpa"
        and not any(getattr(config, name, 0) for name in _NOT_IN_VARLEN)
    )


def _packed_forward(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    segment_ends: torch.Tensor,
    label_positions: torch.Tensor,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> dict[str, torch.Tensor]:
    """The cross entropy of the tokens to learn, for which alone logits are computed.

    It is averaged over `num_items_in_batch` tokens, as the Trainer has it under gradient accumulation, or
    over the batch's.
    """
    packs, length = input_ids.shape
    if model.config._attn_implementation == _VARLEN:
        starts = torch.arange(packs, dtype=torch.int32, device=segment_ends.device).unsqueeze(1) * length
        isolation = {
            "cu_seq_lens": functional.pad((starts + segment_ends).flatten(), (1, 0)),
            "max_length": length,
        }
    else:
        isolation = {"attention_mask": _mask(segment_ends, length, model.dtype)}
    rows = label_positions + length * torch.arange(packs, device=label_positions.device).unsqueeze(1)
    with _logits_of(model, rows.flatten()):
        logits = model(input_ids=input_ids, position_ids=position_ids, use_cache=False, **isolation).logits
    labels = labels[:, 1:]
    total = functional.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return {"loss": total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)}


@contextmanager
def _logits_of(model: PreTrainedModel, rows: torch.Tensor) -> Iterator[None]:
    """Have `model` compute the logits of these rows of its hidden states alone, (1, rows, vocabulary).

    Args:
        rows: int64 of shape (rows,), counted over all packs of a batch, laid end to end.
    """

    # By whole rows: the gradient of such a choice has a deterministic kernel that sorts rows, gather's sorts
    # single numbers.
    def choose(head: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (inputs[0].flatten(0, -2).index_select(0, rows).unsqueeze(0),)

    head: Any = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()


def _mask(segment_ends: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
    """What is added to the scores of attention, (packs, 1, length, length): 0 for what a token sees, else the
    least number.

    sdpa would take a boolean mask too, the eager one only this.
    """
    tokens = torch.arange(length, device=segment_ends.device)
    segments = (tokens.unsqueeze(1) >= segment_ends.unsqueeze(1)).sum(-1)
    seen = (segments[:, None, :, None] == segments[:, None, None, :]) & (tokens.unsqueeze(1) >= tokens)
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)


def _varlen_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    cu_seq_lens: torch.Tensor,
    max_length: int,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within segments, (rows, heads, length, size) to (rows, length, heads, size), as
    transformers calls it.

    Args:
        cu_seq_lens: where the segments of all rows, laid end to end, begin and end; int32 of shape (segments
            + 1,).
        max_length: an upper bound of their lengths.

    Raises:
        InputError: the layer wants something that is not computed here.
    """
    wanted = [
        name for name in _NOT_COMPUTED if isinstance(others.get(name), torch.Tensor) or others.get(name)
    ]
    if wanted:
        raise InputError(
            f"train.pack_length: {type(module).__name__} needs {wanted[0]}, which packs on a GPU do not "
            "have: set it to null"
        )
    rows, heads, length, _ = query.shape
    key, value = (repeat_kv(states, heads // states.shape[1]) for states in (key, value))
    query, key, value = (states.transpose(1, 2).flatten(0, 1) for states in (query, key, value))
    seen: Any = varlen_attn(
        query,
        key,
        value,
        cu_seq_lens,
        cu_seq_lens,
        max_length,
        max_length,
        scale=scaling,
        window_size=(-1, 0),
    )
    return seen.unflatten(0, (rows, length)), None


_VARLEN = "viggo_varlen"
# Settings of models whose attention is computed by a mask: dropout within, and keys wider than values.
_NOT_IN_VARLEN = ("attention_dropout", "attn_pdrop", "kv_lora_rank")
_NOT_COMPUTED = ("dropout", "softcap", "s_aux", "position_bias")  # what layers may hand to their attention
AttentionInterface.register(_VARLEN, _varlen_attention)
