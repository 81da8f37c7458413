"""The search over prefixes, on a toy language model whose answers can all be listed."""

import itertools
import math
from functools import cache

import pytest
import torch

from viggo_pipe.decoding.prefix_search import Prefix, PrefixSearch, n_best

EOS, VOCABULARY, LONGEST = 0, 12, 3


class SomeTokens:
    """A grammar that admits, of the tokens above 6, the even ones for even sentences, else the odd."""

    def __init__(self, sentences):
        self.sentences = sentences

    def masked(self, scores, rows, tokens):
        admitted = scores.clone()
        for place, row in enumerate(rows):
            admitted[place, 7 + self.sentences[row] % 2 :: 2] = -torch.inf
        return admitted

    def finish(self, rows):
        return rows

    def again(self, rows):
        return SomeTokens([self.sentences[row] for row in rows])


def scores_after(row, tokens):
    """A language model: random scores of the next token, by row and tokens so far."""
    return 2 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(hash((row, *tokens)) % 2**31))


def decode(rows, search):
    answers = [[] for _ in rows]
    for step in range(LONGEST):
        scores = torch.stack([scores_after(row, answer) for row, answer in zip(rows, answers, strict=True)])
        chosen = search.masked(
            scores, range(len(rows)), [answer[-1] for answer in answers] if step else None
        ).argmax(-1)
        for answer, token in zip(answers, chosen.tolist(), strict=True):
            answer.append(token)
    return search.finish([answer[: answer.index(EOS) + 1] if EOS in answer else answer for answer in answers])


@cache
def every_answer(row):
    """All answers, whole or cut off, with their probabilities under the grammar."""
    found = {}
    for length in range(1, LONGEST + 1):
        for answer in itertools.product([*range(7), *range(8 - row % 2, VOCABULARY, 2)], repeat=length):
            if EOS in answer[:-1] or (length < LONGEST and answer[-1] != EOS):
                continue
            steps = [
                SomeTokens([row]).masked(scores_after(row, answer[:step])[None], [0], None)
                for step in range(length)
            ]
            pairs = zip(steps, answer, strict=True)
            found[answer] = math.exp(sum(step[0].log_softmax(-1)[token].item() for step, token in pairs))
    return found


@pytest.mark.parametrize("threshold", [0.3, 0.05, 0.01])
def test_every_whole_answer_over_the_threshold_is_found(threshold):
    found = n_best(6, decode, SomeTokens(range(6)), threshold, EOS)
    assert threshold == 0.3 or max(map(len, found)) > 1
    for row, answers in enumerate(found):
        probabilities = every_answer(row)
        assert sum(probabilities.values()) == pytest.approx(1)
        likely = {
            answer
            for answer, probability in probabilities.items()
            if probability >= threshold and answer[-1] == EOS
        }
        assert likely <= set(map(tuple, answers))
        assert len(answers) == len(set(map(tuple, answers))) <= 1 / threshold
        (greedy,) = decode([row], PrefixSearch(SomeTokens([row]), [Prefix(row, [], 0.0)], 0.99, EOS))
        whole = [answer for answer in answers if answer[-1] == EOS]
        assert answers == whole or answers == [greedy]
        if greedy[-1] == EOS:
            assert answers[0] == greedy
