"""Compares two runs on the same examples: a paired test of strict exact match."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from scipy.stats import binomtest

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.bootstrap import bootstrap_interval
from viggo_pipe.evaluation.predictions import Prediction, read_predictions
from viggo_pipe.evaluation.scoring import exact_match

_DIGITS = 4
_REMEDY = "predict both on the same data: dvc repro"


@dataclass(frozen=True)
class PairedOutcomes:
    """How many examples two runs, the first and the second, got right (the 2 x 2 table of a paired test)."""

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int

    @property
    def examples(self) -> int:
        """All examples."""
        return self.both_right + self.only_first_right + self.only_second_right + self.both_wrong

    @property
    def difference(self) -> float:
        """The second run's exact match less the first's, as a share; 0.0 where there are no examples."""
        return (self.only_second_right - self.only_first_right) / max(self.examples, 1)

    def difference_interval(self, settings: ScoreSettings) -> tuple[float, float]:
        """The 95% paired bootstrap interval of `difference`: examples are resampled with both outcomes."""
        differences: dict[tuple[int, ...], int] = {
            (-1,): self.only_first_right,
            (0,): self.both_right + self.both_wrong,
            (1,): self.only_second_right,
        }
        return bootstrap_interval(differences, lambda sums: sums[0] / self.examples, settings)

    def mcnemar_p(self) -> float:
        """The p-value of McNemar's test, exact and two-sided, of the two being right equally often.

        McNemar 1947; the exact form is a sign test on the examples that just one got right. 1.0 where there
        is none.
        """
        discordant = self.only_first_right + self.only_second_right
        return float(binomtest(self.only_second_right, discordant).pvalue) if discordant else 1.0


def count_outcomes(pairs: Iterable[tuple[bool, bool]]) -> PairedOutcomes:
    """Count `pairs`: whether the first run was right on an example, and whether the second was."""
    counts = Counter(pairs)
    return PairedOutcomes(counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def read_pairs(first: str | Path, second: str | Path) -> Iterator[tuple[Prediction, Prediction]]:
    """Yield the predictions of two files for the same examples, one example at a time.

    Raises:
        InputError: a file cannot be read, or the two differ in the number, ids, sentences or references of
            examples.
    """
    examples = zip_longest(read_predictions(first), read_predictions(second))
    for number, (one, other) in enumerate(examples, start=1):
        if one is None or other is None:
            short, long = (first, second) if one is None else (second, first)
            raise InputError(f"{short} ends before line {number}, but {long} does not; {_REMEDY}")
        for field in ("id", "sentence", "reference"):
            mine, theirs = getattr(one, field), getattr(other, field)
            if mine != theirs:
                raise InputError(
                    f"line {number}: {field} is {mine[:80]!r} in {first}, {theirs[:80]!r} in {second}; "
                    f"{_REMEDY}"
                )
        yield one, other


def compare_base_and_tuned(
    base: str | Path, tuned: str | Path, settings: ScoreSettings
) -> dict[str, float | int]:
    """Compare two files of predictions, as metrics/comparison.json has it.

    `examples`, `both_right`, `only_base_right`, `only_tuned_right` and `both_wrong` count examples;
    `exact_match_difference` is tuned less base, with its 95% paired bootstrap interval, `_low` and `_high`,
    to 4 decimals; `mcnemar_p` has 4 significant digits.

    Raises:
        InputError: as `read_pairs`.
    """
    outcomes = count_outcomes(
        (exact_match(one.reference, one.prediction), exact_match(other.reference, other.prediction))
        for one, other in read_pairs(base, tuned)
    )
    low, high = outcomes.difference_interval(settings)
    return {
        "examples": outcomes.examples,
        "both_right": outcomes.both_right,
        "only_base_right": outcomes.only_first_right,
        "only_tuned_right": outcomes.only_second_right,
        "both_wrong": outcomes.both_wrong,
        "exact_match_difference": round(outcomes.difference, _DIGITS),
        "exact_match_difference_low": round(low, _DIGITS),
        "exact_match_difference_high": round(high, _DIGITS),
        "mcnemar_p": float(f"{outcomes.mcnemar_p():.4g}"),
    }
