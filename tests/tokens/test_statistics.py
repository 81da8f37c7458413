"""Figures out of counts are those of the lengths themselves."""

import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viggo_pipe.tokens.statistics import TokenStatistics, length_histogram

LENGTHS = st.lists(st.integers(2, 300), min_size=1)


def counted(lengths):
    return TokenStatistics(Counter(lengths), Counter({False: len(lengths)}), sum(lengths))


@given(lengths=LENGTHS)
def test_figures_are_those_of_the_lengths(lengths):
    figures = counted(lengths).figures(300)
    assert figures["rows"] == figures["kept_rows"] == len(lengths)
    assert figures["mean_tokens"] == round(statistics.fmean(lengths), 2)
    median = statistics.median(lengths)
    assert figures["median_tokens"] == median and type(figures["median_tokens"]) is type(median)
    assert figures["max_tokens"] == max(lengths)
    within = [sum(other <= length for other in lengths) for length in lengths]
    reached = [length for length, count in zip(lengths, within, strict=True) if count >= 0.99 * len(lengths)]
    assert figures["p99_tokens"] == min(reached)
    assert figures["padding_share"] == pytest.approx(1 - sum(lengths) / (300 * len(lengths)), abs=5e-5)


@given(splits=st.dictionaries(st.sampled_from(["train", "validation"]), LENGTHS, min_size=1))
def test_all_splits_have_the_same_bins_and_a_row_is_in_one(splits):
    bins = list(length_histogram({name: counted(lengths) for name, lengths in splits.items()}, 256))
    longest = max(max(lengths) for lengths in splits.values())
    for name, lengths in splits.items():
        own = [row for row in bins if row["split"] == name]
        assert [row["tokens"] for row in own] == list(range(8, longest + 8, 8))
        assert all(row["max_length"] == 256 for row in own)
        for row in own:
            assert row["rows"] == sum(row["tokens"] - 8 < length <= row["tokens"] for length in lengths)
