"""Tokenized rows that training reads as it needs them, from a table on disk."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset
from pyarrow import compute

from viggo_pipe.tokens.collate import first_label
from viggo_pipe.tokens.prompt import Example


class TokenRows:
    """Rows of a tokenized table: a dataset for PyTorch's DataLoader, whose items are `Example`s.

    A row's ids are read when it is asked for. In memory are the rows' positions, lengths and starts of
    answers: 16 bytes a row.

    Args:
        table: columns `input_ids` (int32 list) and `answer_start` (int32).
        positions: which of its rows; int64 of shape (rows,).

    Attributes:
        table: the table.
        lengths: tokens of each row; int32 of shape (rows,).
        answer_starts: where in its ids each row's answer begins; int32 of shape (rows,).
    """

    def __init__(self, table: Dataset, positions: np.ndarray):
        self.table, self._positions = table, positions
        columns = table.data.table
        self.lengths = compute.call_function("list_value_length", [columns["input_ids"]]).to_numpy()[
            positions
        ]
        self.answer_starts = columns["answer_start"].to_numpy()[positions]

    @classmethod
    def of_examples(cls, examples: Sequence[Example]) -> "TokenRows":
        """The rows of a table in memory that holds `examples`."""
        ids = pa.array([example["input_ids"] for example in examples], pa.list_(pa.int32()))
        starts = pa.array([example["answer_start"] for example in examples], pa.int32())
        table = Dataset(pa.table({"input_ids": ids, "answer_start": starts}), fingerprint="in-memory")
        return cls(table, np.arange(len(examples)))

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """The rows at `indices`, read at once."""
        return self.table.__getitems__(self._positions[indices].tolist()) if len(indices) else []

    @property
    def highest_id(self) -> int:
        """The highest id of a token of the table's rows. All are read for it."""
        ids = compute.call_function("list_flatten", [self.table.data.table["input_ids"]])
        return compute.call_function("max", [ids]).as_py()

    def where(self, mask: np.ndarray) -> "TokenRows":
        """The rows for which `mask`, bool of shape (rows,), is true."""
        return TokenRows(self.table, self._positions[mask])

    def label_counts(self, completion_only_loss: bool) -> np.ndarray:
        """How many labels each row has, int32 of shape (rows,): below 1 where the answer was cut off."""
        return self.lengths - first_label(self.answer_starts, completion_only_loss)
