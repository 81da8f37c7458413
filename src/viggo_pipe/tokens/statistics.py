"""How many tokens the rows of a split have: the figures of metrics/tokens.json, the bins of
plots/token_lengths.csv.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_BIN = 8  # tokens a bin of the histogram


@dataclass
class TokenStatistics:
    """Counts of a split's rows, as large for many rows as for few.

    Attributes:
        lengths: how many rows have how many tokens, before a row is dropped or truncated.
        kept: how many rows are left of each direction; True: the answer is the sentence.
        kept_tokens: tokens of these rows.
        truncated: rows that were cut.
        lost: rows whose answer was cut off whole.
    """

    lengths: Counter[int] = field(default_factory=Counter)
    kept: Counter[bool] = field(default_factory=Counter)
    kept_tokens: int = 0
    truncated: int = 0
    lost: int = 0

    def figures(self, max_length: int) -> dict[str, float | int]:
        """What stands in metrics/tokens.json.

        `truncated_rows` were over `max_length` and cut; `target_truncated_rows` lost a part of their answer
        by it, `target_lost_rows` the whole; `padding_share` is the share of padding where each kept row is
        padded to `max_length`.
        """
        rows, kept = self.lengths.total(), self.kept.total()
        tokens = sum(length * count for length, count in self.lengths.items())
        return {
            "rows": rows,
            "kept_rows": kept,
            "mean_tokens": round(tokens / rows, 2),
            "median_tokens": self._median(),
            "p99_tokens": self._nearest_rank(0.99),
            "max_tokens": max(self.lengths),
            "dropped_rows": rows - kept,
            "truncated_rows": self.truncated,
            # The answer stands at a row's end, so that a cut row has always lost a part of it.
            "target_truncated_rows": self.truncated,
            "target_lost_rows": self.lost,
            "padding_share": round(1 - self.kept_tokens / (kept * max_length), 4),
        }

    def _median(self) -> float | int:
        rows = self.lengths.total()
        upper = self._at_rank(rows // 2 + 1)
        return upper if rows % 2 else (self._at_rank(rows // 2) + upper) / 2

    def _nearest_rank(self, share: float) -> int:
        """The smallest length that at least `share` of all rows do not exceed."""
        return self._at_rank(max(1, math.ceil(share * self.lengths.total())))

    def _at_rank(self, rank: int) -> int:
        """The length of row number `rank`, counted from 1, in the order of lengths."""
        for length in sorted(self.lengths):
            rank -= self.lengths[length]
            if rank <= 0:
                return length
        raise IndexError("there are fewer rows")


def length_histogram(
    splits: Mapping[str, TokenStatistics], max_length: int
) -> Iterator[dict[str, str | int]]:
    """Yield the bins of plots/token_lengths.csv: `rows` of `split` have `tokens` or up to 7 fewer tokens.

    All splits have the same bins, empty ones too; `max_length` stands in each, for the plot to mark.
    """
    last = max(_bin(max(split.lengths)) for split in splits.values())
    for name, split in splits.items():
        counts: Counter[int] = Counter()
        for length, rows in split.lengths.items():
            counts[_bin(length)] += rows
        for number in range(1, last + 1):
            yield {"split": name, "tokens": number * _BIN, "rows": counts[number], "max_length": max_length}


def _bin(length: int) -> int:
    return math.ceil(length / _BIN)
