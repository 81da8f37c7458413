"""Several tokenized rows in one row of fixed length, which see nothing of each other.

Short rows waste a GPU twice: as padding, and because few tokens a step do not fill it. Packed rows are
isolated as in Krell et al. 2021 (arXiv:2107.02027): each attends to itself alone, counts positions from 0,
and predicts none of its neighbour.
"""

import random
from array import array
from collections.abc import Sequence

import numpy as np
import torch

from viggo_pipe.core.errors import InputError
from viggo_pipe.tokens.collate import IGNORED, first_label
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.prompt import Example

Pack = list[Example]
# packs that a row is tried in: enough to fill nearly all of each, and as fast for many rows as for few
_OPEN = 64


class Packs:
    """Rows in packs: a dataset for PyTorch's DataLoader, whose items are lists of `Example`s.

    Rows are read when a pack is asked for. In memory are their indices: 8 bytes a row, and 8 a pack.

    Args:
        rows: the rows.
        order: indices of `rows`, one pack's after another's; int64 of shape (packed rows,).
        starts: where in `order` each pack begins; int64 of shape (packs,). None is empty.
    """

    def __init__(self, rows: TokenRows, order: np.ndarray, starts: np.ndarray):
        self._rows, self._order, self._starts = rows, order, starts
        self._ends = np.append(starts[1:], len(order))

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> Pack:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Pack]:
        """The packs at `indices`, all of whose rows are read at once."""
        chosen = [self._order[self._starts[index] : self._ends[index]] for index in indices]
        rows = iter(self._rows.__getitems__(np.concatenate(chosen).tolist()))
        return [[next(rows) for _ in pack] for pack in chosen]

    @property
    def most_rows(self) -> int:
        """Rows of the pack that has the most."""
        return int((self._ends - self._starts).max())

    def most_labels(self, completion_only_loss: bool) -> int:
        """Tokens to learn of the pack that has the most."""
        labels = self._rows.label_counts(completion_only_loss)[self._order]
        return int(np.add.reduceat(labels, self._starts).max())


def check_pack_length(rows: TokenRows, length: int) -> None:
    """Check that each of `rows` fits in a pack of `length` tokens.

    Raises:
        InputError: one does not.
    """
    longest = int(rows.lengths.max())
    if longest > length:
        raise InputError(f"train.pack_length is {length}, but a row has {longest} tokens: raise it")


def pack_rows(rows: TokenRows, length: int, seed: int) -> Packs:
    """Put `rows`, shuffled, into packs of at most `length` tokens: each into the first open pack that has
    room for it.

    The same rows and seed give the same packs.

    Raises:
        InputError: a row is longer than `length`.
    """
    check_pack_length(rows, length)
    order = array("q", range(len(rows)))
    random.Random(seed).shuffle(order)
    order = np.array(order)
    pack_of = np.empty(len(rows), np.int64)  # of each row, in the shuffled order
    packs = 0
    open_packs: list[tuple[int, int]] = []  # numbers of packs, with their room
    for place, size in enumerate(rows.lengths[order].tolist()):
        for number, (pack, room) in enumerate(open_packs):
            if size <= room:
                pack_of[place] = pack
                open_packs[number] = (pack, room - size)
                break
        else:
            pack_of[place] = packs
            open_packs.append((packs, length - size))
            packs += 1
            if len(open_packs) > _OPEN:
                open_packs.pop(0)
    by_pack = np.argsort(pack_of, kind="stable")
    return Packs(rows, order[by_pack], np.searchsorted(pack_of[by_pack], np.arange(packs)))


class PackCollator:
    """Batches packs into tensors of one shape whatever the packs, as compiled kernels and CUDA graphs need
    them.

    It gives, int64 of shape (packs, length), `input_ids` and `position_ids`. `segment_ends`, int32 of shape
    (packs, segments), says where in a pack each of its rows ends; behind the last row it has `length`, once
    or more. `label_positions`, int64 of shape (packs, answers), says where the tokens to learn are predicted.
    `labels` has these tokens, behind a column that is ignored: the Trainer counts what a model is to learn
    without the first.

    `segments` and `answers` are the most that any pack of `datasets` has. Empty packs fill up a batch of
    fewer than `batch_size`.
    """

    def __init__(
        self,
        datasets: Sequence[Packs],
        pad_token_id: int,
        length: int,
        completion_only_loss: bool,
        batch_size: int = 1,
    ):
        self._pad_token_id, self._length, self._completion_only_loss, self._batch_size = (
            pad_token_id,
            length,
            completion_only_loss,
            batch_size,
        )
        self._answers = max(packs.most_labels(completion_only_loss) for packs in datasets)
        self._segments = 1 + max(packs.most_rows for packs in datasets)  # padding is one

    def __call__(self, packs: Sequence[Pack]) -> dict[str, torch.Tensor]:
        # In lists, and a tensor out of all at the end: tensors for each row take five times as long, and a
        # GPU waits meanwhile.
        ids, positions, ends, label_positions, labels = columns = [], [], [], [], []
        for pack in [*packs, *[[]] * (-len(packs) % self._batch_size)]:
            for column, start in zip(columns, ([], [], [], [], [IGNORED]), strict=True):
                column.append(start)
            for row in pack:
                tokens, first = row["input_ids"], first_label(row["answer_start"], self._completion_only_loss)
                begin, end = len(ids[-1]), len(ids[-1]) + len(tokens)
                ids[-1] += tokens
                positions[-1] += range(len(tokens))
                ends[-1].append(end)
                label_positions[-1] += range(
                    begin + first - 1, end - 1
                )  # a token is predicted at the position before its own
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
