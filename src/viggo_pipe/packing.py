"""Several tokenized rows in one row of fixed length, which see nothing of each other.

Short rows waste a GPU twice: as padding, and because few tokens a step do not fill it. Packed rows are isolated as in Krell
et al. 2021 (arXiv:2107.02027): each attends to itself alone, counts positions from 0, and predicts none of its neighbour.
"""

import random
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from peft import PeftModel
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv

from viggo_pipe.collation import IGNORED, first_learnt
from viggo_pipe.errors import InputError
from viggo_pipe.prompt import Example

Pack = list[Example]
_OPEN = 64  # packs that a row is tried in: enough to fill nearly all of each, and as fast for many rows as for few


def pack_rows(rows: Sequence[Example], length: int, seed: int) -> list[Pack]:
    """Put `rows`, shuffled, into packs of at most `length` tokens: each into the first open pack that has room for it.

    The same rows and seed give the same packs.

    Raises:
        InputError: a row is longer than `length`.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    if longest > length:
        raise InputError(f"train.pack_length is {length}, but a row has {longest} tokens: raise it")
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    packs: list[Pack] = []
    open_packs: list[tuple[Pack, int]] = []  # with their room
    for row in (rows[index] for index in order):
        size = len(row["input_ids"])
        for number, (pack, room) in enumerate(open_packs):
            if size <= room:
                pack.append(row)
                open_packs[number] = (pack, room - size)
                break
        else:
            packs.append([row])
            open_packs.append((packs[-1], length - size))
            if len(open_packs) > _OPEN:
                open_packs.pop(0)
    return packs


class PackCollator:
    """Batches packs into tensors of one shape whatever the packs, as compiled kernels and CUDA graphs need them.

    Gives `input_ids` and `position_ids`, int64 of shape (packs, length); `segment_ends`, int32 of shape (packs, segments),
    where in a pack each of its rows ends, and behind the last row `length`, once or more; and, int64 of shape (packs, answers),
    `label_positions`, where in a pack the tokens to learn are predicted, and `labels`, what they are, behind a column that is
    ignored, for the Trainer counts what a model is to learn without the first. `segments` and `answers` are the most that any
    of `packs` has. Empty packs fill up a batch of fewer than `batch_size`.
    """

    def __init__(self, packs: Sequence[Pack], pad_token_id: int, length: int, loss_on: str, batch_size: int = 1):
        self._pad_token_id, self._length, self._loss_on, self._batch_size = pad_token_id, length, loss_on, batch_size
        self._answers = max(sum(len(row["input_ids"]) - first_learnt(row, loss_on) for row in pack) for pack in packs)
        self._segments = max(map(len, packs)) + 1  # padding is one

    def __call__(self, packs: Sequence[Pack]) -> dict[str, torch.Tensor]:
        # In lists, and a tensor out of all at the end: tensors for each row take five times as long, and a GPU waits meanwhile.
        ids, positions, ends, label_positions, labels = columns = [], [], [], [], []
        for pack in [*packs, *[[]] * (-len(packs) % self._batch_size)]:
            for column, start in zip(columns, ([], [], [], [], [IGNORED]), strict=True):
                column.append(start)
            for row in pack:
                tokens, first = row["input_ids"], first_learnt(row, self._loss_on)
                begin, end = len(ids[-1]), len(ids[-1]) + len(tokens)
                ids[-1] += tokens
                positions[-1] += range(len(tokens))
                ends[-1].append(end)
                label_positions[-1] += range(begin + first - 1, end - 1)  # a token is predicted at the position before its own
                labels[-1] += tokens[first:]
        return {
            "input_ids": _filled(ids, self._length, self._pad_token_id),
            "position_ids": _filled(positions, self._length, 0),
            "segment_ends": _filled(ends, self._segments, self._length, np.int32),
            "label_positions": _filled(label_positions, self._answers, 0),
            "labels": _filled(labels, 1 + self._answers, IGNORED),
        }


def _filled(rows: Sequence[list[int]], width: int, fill: int, dtype: type = np.int64) -> torch.Tensor:
    """A matrix of `rows`, each filled up to `width` numbers."""
    matrix = np.full((len(rows), width), fill, dtype=dtype)
    for index, row in enumerate(rows):
        matrix[index, : len(row)] = row
    return torch.from_numpy(matrix)


def take_packs(model: PeftModel) -> None:
    """Have `model` take a `PackCollator`'s batches in place of its usual ones, and give their loss.

    On a GPU that has FlashAttention's kernels, attention computes nothing between rows; elsewhere a mask hides them.
    """
    base = model.get_base_model()
    if base.device.type == "cuda" and base.dtype == torch.bfloat16 and torch.cuda.get_device_capability() >= (8, 0):
        base.set_attn_implementation(_VARLEN)
    model.forward = partial(_packed_forward, base)


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

    It is averaged over `num_items_in_batch` tokens, as the Trainer has it under gradient accumulation, or over the batch's.
    """
    packs, length = input_ids.shape
    if model.config._attn_implementation == _VARLEN:
        starts = torch.arange(packs, dtype=torch.int32, device=segment_ends.device).unsqueeze(1) * length
        isolation = {"cu_seq_lens": functional.pad((starts + segment_ends).flatten(), (1, 0)), "max_length": length}
    else:
        isolation = {"attention_mask": _mask(segment_ends, length, model.dtype)}
    hidden = model.get_decoder()(input_ids=input_ids, position_ids=position_ids, use_cache=False, **isolation).last_hidden_state
    # By whole rows: the gradient of such a choice has a deterministic kernel that sorts rows, gather's sorts single numbers.
    rows = label_positions + length * torch.arange(packs, device=label_positions.device).unsqueeze(1)
    logits = model.get_output_embeddings()(hidden.flatten(0, 1).index_select(0, rows.flatten())).float()
    labels = labels[:, 1:]
    total = functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return {"loss": total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)}


def _mask(segment_ends: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
    """What is added to the scores of attention, (packs, 1, length, length): 0 for what a token sees, else the least number.

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
    scaling: float,
    **unused,
) -> tuple[torch.Tensor, None]:
    """Causal attention within segments, (rows, heads, length, size) to (rows, length, heads, size), as transformers calls it.

    Args:
        cu_seq_lens: where the segments of all rows, laid end to end, begin and end; int32 of shape (segments + 1,).
        max_length: an upper bound of their lengths.
    """
    rows, heads, length, _ = query.shape
    key, value = (repeat_kv(states, heads // states.shape[1]) for states in (key, value))
    query, key, value = (states.transpose(1, 2).flatten(0, 1) for states in (query, key, value))
    seen = varlen_attn(query, key, value, cu_seq_lens, cu_seq_lens, max_length, max_length, scale=scaling, window_size=(-1, 0))
    return seen.unflatten(0, (rows, length)), None


_VARLEN = "viggo_varlen"
AttentionInterface.register(_VARLEN, _varlen_attention)
