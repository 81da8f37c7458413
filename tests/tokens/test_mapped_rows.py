"""Rows are read by their position, many at once, and their lengths are known without them."""

import numpy as np
import pytest

from viggo_pipe.tokens.mapped_rows import TokenRows

EXAMPLES = [
    {"input_ids": [5, 6, 7], "answer_start": 2},
    {"input_ids": [8], "answer_start": 1},
    {"input_ids": [1, 2, 3, 4], "answer_start": 1},
    {"input_ids": [9, 9], "answer_start": 5},
]


@pytest.fixture
def rows():
    return TokenRows.of_examples(EXAMPLES)


def test_rows_are_a_sequence_of_examples(rows):
    assert len(rows) == 4 and list(rows) == EXAMPLES
    assert rows.__getitems__([3, 0, 0]) == [EXAMPLES[3], EXAMPLES[0], EXAMPLES[0]]
    assert rows.__getitems__(np.array([2])) == [EXAMPLES[2]]
    assert rows.lengths.tolist() == [3, 1, 4, 2] and rows.answer_starts.tolist() == [2, 1, 1, 5]


def test_rows_are_chosen_by_a_mask(rows):
    chosen = rows.where(np.array([True, False, True, True])).where(np.array([False, True, True]))
    assert list(chosen) == [EXAMPLES[2], EXAMPLES[3]] and chosen.lengths.tolist() == [4, 2]
    none = rows.where(np.zeros(4, bool))
    assert len(none) == 0 and list(none) == [] and none.__getitems__([]) == []


def test_tokens_to_learn_are_the_answers_or_all_behind_the_first(rows):
    assert rows.label_counts(completion_only_loss=True).tolist() == [1, 0, 3, -3]
    assert rows.label_counts(completion_only_loss=False).tolist() == [2, 0, 3, 1]
