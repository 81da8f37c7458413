"""Batches of tokenized rows for a causal language model."""

from collections.abc import Sequence

import torch

from viggo_pipe.prompt import Example

IGNORED = -100  # the label that PyTorch's cross entropy skips
# Few distinct lengths mean few compiled kernels: oneDNN keeps one primitive a shape, and its memory with it.
_LENGTH_STEP = 8


def pad_left(rows: Sequence[Sequence[int]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Pad `rows` of token ids on the left to one length, a multiple of 8.

    Returns `input_ids`, `attention_mask` and `position_ids`, each int64 of shape (rows, length). Positions count from each
    row's first real token, so that a row means the same whatever it is batched with.
    """
    length = -(-max(map(len, rows)) // _LENGTH_STEP) * _LENGTH_STEP
    ids = torch.full((len(rows), length), pad_token_id)
    mask = torch.zeros((len(rows), length), dtype=torch.int64)
    for index, row in enumerate(rows):
        ids[index, length - len(row) :] = torch.tensor(row)
        mask[index, length - len(row) :] = 1
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


class CausalCollator:
    """Batches `Example`s for training, with the loss on the answer (and EOS) only, or on all tokens but BOS.

    Rows are padded on the left, so that all answers end in the last column, and logits are needed for the last columns
    only: with a vocabulary of 49,152 they are most of a small model's memory. Labels have as many columns as there are logits.
    """

    def __init__(self, pad_token_id: int, loss_on: str):
        self._pad_token_id = pad_token_id
        self._loss_on = loss_on

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor | int]:
        batch = pad_left([example["input_ids"] for example in examples], self._pad_token_id)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
        if self._loss_on == "answer":
            length = labels.shape[1]
            for row, example in zip(labels, examples, strict=True):
                row[: length - len(example["input_ids"]) + example["answer_start"]] = IGNORED
            longest = max(len(example["input_ids"]) - example["answer_start"] for example in examples)
            # One more: the logits that predict a token stand one column before it.
            keep = min(length, -(-(longest + 1) // _LENGTH_STEP) * _LENGTH_STEP)
            labels = labels[:, -keep:]
            batch["logits_to_keep"] = keep
        return {**batch, "labels": labels.contiguous()}
