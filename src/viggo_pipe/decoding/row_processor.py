"""What masks the scores of a batch, for transformers' `generate` and for `GraphedDecoder` alike."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


class RowProcessor(LogitsProcessor, ABC):
    """Masks the scores of a batch at each decoding step. An object serves one generation."""

    _has_started = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """transformers' interface: `masked` for all rows of the batch."""
        tokens = input_ids[:, -1].tolist() if self._has_started else None
        self._has_started = True
        return self.masked(scores, range(len(scores)), tokens)

    @abstractmethod
    def masked(self, scores: torch.Tensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.Tensor:
        """`scores`, (len(rows), vocabulary), with minus infinity where a row must not have the token.

        Args:
            rows: the rows of the batch that have scores. Those of a row that has ended are undefined.
            tokens: the last token of every row of the batch. None at the first step.
        """

    @abstractmethod
    def finish(self, answers: Sequence[Sequence[int]]) -> list[list[int]]:
        """The generated ids of each row, repaired where the row ran out of tokens."""
