"""Batches of tokenized rows for a causal language model."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from viggo_pipe.tokens.prompt import Example

IGNORED = -100  # the label that PyTorch's cross entropy skips
# Few distinct lengths mean few compiled kernels: oneDNN keeps one primitive a shape, and its memory with it.
_LENGTH_STEP = 8
_Int = TypeVar("_Int", int, np.ndarray)


def padded_length(length: int) -> int:
    """The length that a batch whose longest row has `length` tokens is padded to."""
    return -(-length // _LENGTH_STEP) * _LENGTH_STEP


def pad(rows: Sequence[Sequence[int]], pad_token_id: int, side: str) -> dict[str, torch.Tensor]:
    """Pad `rows` of token ids on `side` (left or right) to one length, a multiple of 8.

    Returns `input_ids` and `attention_mask`, each int64 of shape (rows, length).
    """
    length = padded_length(max(map(len, rows)))
    ids = torch.full((len(rows), length), pad_token_id)
    mask = torch.zeros((len(rows), length), dtype=torch.int64)
    for index, row in enumerate(rows):
        columns = slice(length - len(row), length) if side == "left" else slice(0, len(row))
        ids[index, columns] = torch.tensor(row)
        mask[index, columns] = 1
    return {"input_ids": ids, "attention_mask": mask}


def first_label(answer_start: _Int, completion_only_loss: bool) -> _Int | int:
    """The index of a row's first label: the answer's first token, or without `completion_only_loss` the one
    after BOS.
    """
    return answer_start if completion_only_loss else 1


class CausalCollator:
    """Batches `Example`s for training, with the loss on the answer and EOS only, or on all tokens.

    Rows are padded on the right: on the left, padding would attend to nothing, and the gradient of such a row
    of attention is NaN in CUDA's fused kernels. Logits are computed from the column before the first answer
    on: with a vocabulary of 49,152 they are most of a small model's memory. `labels` has as many columns as
    there are logits.
    """

    def __init__(self, pad_token_id: int, completion_only_loss: bool):
        self._pad_token_id = pad_token_id
        self._completion_only_loss = completion_only_loss

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        batch: dict[str, Any] = pad(
            [example["input_ids"] for example in examples], self._pad_token_id, "right"
        )
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
        if self._completion_only_loss:
            length = labels.shape[1]
            for row, example in zip(labels, examples, strict=True):
                row[: example["answer_start"]] = IGNORED
            # One more: the logits that predict a token stand one column before it.
            needed = length - min(example["answer_start"] for example in examples) + 1
            batch["logits_to_keep"] = min(length, padded_length(needed))
            labels = labels[:, -batch["logits_to_keep"] :]
        return {**batch, "labels": labels.contiguous()}
