"""Several tokenized rows in one row of fixed length, which see nothing of each other.

Short rows waste a GPU twice: as padding, and because few tokens a step do not fill it. Packed rows are isolated as in Krell
et al. 2021 (arXiv:2107.02027): each attends to itself alone, counts positions from 0, and predicts none of its neighbour.
"""

import random
from collections.abc import Sequence
from functools import partial

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import PreTrainedModel

from viggo_pipe.collation import IGNORED, first_learnt
from viggo_pipe.errors import InputError
from viggo_pipe.prompt import Example

Pack = list[Example]
_OPEN = 64  # packs that a row is tried in: enough to fill nearly all of each, and as fast for many rows as for few
_NOBODY = -1  # the segment of padding, which sees itself


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

    Gives `input_ids`, `position_ids` and `segment_ids`, int64 of shape (packs, length); and of shape (packs, answers), where
    `answers` is the most tokens to learn that any of `packs` has: `label_positions`, where in a pack those tokens are
    predicted, and `labels`, what they are.
    """

    def __init__(self, packs: Sequence[Pack], pad_token_id: int, length: int, loss_on: str):
        self._pad_token_id, self._length, self._loss_on = pad_token_id, length, loss_on
        self._answers = max(sum(len(row["input_ids"]) - first_learnt(row, loss_on) for row in pack) for pack in packs)

    def __call__(self, packs: Sequence[Pack]) -> dict[str, torch.Tensor]:
        shape = (len(packs), self._length)
        ids, positions = torch.full(shape, self._pad_token_id), torch.zeros(shape, dtype=torch.int64)
        segments = torch.full(shape, _NOBODY)
        label_positions = torch.zeros((len(packs), self._answers), dtype=torch.int64)
        labels = torch.full((len(packs), self._answers), IGNORED)
        for index, pack in enumerate(packs):
            start, learnt = 0, 0
            for segment, row in enumerate(pack):
                tokens, first = row["input_ids"], first_learnt(row, self._loss_on)
                end, targets = start + len(tokens), len(tokens) - first
                ids[index, start:end] = torch.tensor(tokens)
                positions[index, start:end] = torch.arange(len(tokens))
                segments[index, start:end] = segment
                # A token is predicted at the position before its own.
                label_positions[index, learnt : learnt + targets] = torch.arange(start + first - 1, end - 1)
                labels[index, learnt : learnt + targets] = torch.tensor(tokens[first:])
                start, learnt = end, learnt + targets
        return {
            "input_ids": ids,
            "position_ids": positions,
            "segment_ids": segments,
            "label_positions": label_positions,
            "labels": labels,
        }


def take_packs(model: PeftModel) -> None:
    """Have `model` take a `PackCollator`'s batches in place of its usual ones, and give their loss."""
    model.forward = partial(_packed_forward, model.get_base_model())


def _packed_forward(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    segment_ids: torch.Tensor,
    label_positions: torch.Tensor,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> dict[str, torch.Tensor]:
    """The cross entropy of the tokens to learn, for which alone logits are computed.

    It is averaged over `num_items_in_batch` tokens, as the Trainer has it under gradient accumulation, or over the batch's.
    """
    length = segment_ids.shape[1]
    causal = torch.ones((length, length), dtype=torch.bool, device=segment_ids.device).tril()
    seen = (segment_ids[:, None, :, None] == segment_ids[:, None, None, :]) & causal
    # Added to the scores of attention: sdpa would take a boolean mask too, the eager one only this.
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=seen.device).masked_fill(~seen, torch.finfo(model.dtype).min)
    hidden = model.get_decoder()(
        input_ids=input_ids, position_ids=position_ids, attention_mask=mask, use_cache=False
    ).last_hidden_state
    picked = hidden.gather(1, label_positions.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
    logits = model.get_output_embeddings()(picked).float()
    total = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return {"loss": total / (labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)}
