"""A search over prefixes for the answers that a grammar makes likely (n-best).

Under a grammar, each greedy step takes the most likely admitted token, though the model may think little of
all that can follow. Park et al. 2024 (arXiv:2405.21047) show how that distorts sampling.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from viggo_pipe.decoding.grammar_processor import GrammarProcessor
from viggo_pipe.decoding.row_processor import RowProcessor


class Prefix(NamedTuple):
    """How an answer to the sentence `row` of a batch begins, and its log-probability under the grammar."""

    row: int
    tokens: list[int]
    log_probability: float


class PrefixSearch(RowProcessor):
    """Makes each row begin with its prefix and go on greedily, and collects other likely prefixes.

    Args:
        grammar: of the batch's rows.
        prefixes: one a row.
        threshold: the least probability of a prefix that is collected.

    Attributes:
        others: the collected prefixes.
        complete: by row, whether its answer ended with EOS, which the grammar admits only behind whole
            answers.
    """

    def __init__(
        self, grammar: GrammarProcessor, prefixes: Sequence[Prefix], threshold: float, eos_token_id: int
    ):
        self.others: list[Prefix] = []
        self.complete = [False] * len(prefixes)
        self._grammar, self._prefixes, self._eos_token_id = grammar, prefixes, eos_token_id
        self._threshold = math.log(threshold)
        self._most = int(1 / threshold)  # tokens of one step that can reach the threshold
        self._cumulative = [prefix.log_probability for prefix in prefixes]
        self._taken: list[list[int]] = [[] for _ in prefixes]

    def masked(self, scores: torch.Tensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.Tensor:
        """`scores` that leave one token to each row. See `RowProcessor.masked`."""
        admitted = self._grammar.masked(scores, rows, tokens)
        best = admitted.float().log_softmax(-1).topk(min(self._most, admitted.shape[-1]))
        options = zip(rows, best.indices.tolist(), best.values.tolist(), strict=True)
        chosen = [[self._take(row, ids, values)] for row, ids, values in options]
        index = torch.tensor(chosen, device=scores.device)
        return torch.full_like(scores, -torch.inf).scatter_(1, index, 0.0)

    def finish(self, answers: Sequence[Sequence[int]]) -> list[list[int]]:
        """See `GrammarProcessor.finish`."""
        return self._grammar.finish(answers)

    def _take(self, row: int, ids: Sequence[int], log_probabilities: Sequence[float]) -> int:
        """The next token of a row, whose most likely tokens are `ids`, in falling order."""
        prefix, taken = self._prefixes[row], self._taken[row]
        if self.complete[row]:
            return self._eos_token_id
        if len(taken) < len(prefix.tokens):
            token = prefix.tokens[len(taken)]
        else:
            token = ids[0]
            for other, log_probability in zip(ids[1:], log_probabilities[1:], strict=True):
                cumulative = self._cumulative[row] + log_probability
                if cumulative < self._threshold:
                    break
                self.others.append(Prefix(prefix.row, [*taken, other], cumulative))
            self._cumulative[row] += log_probabilities[0]
        taken.append(token)
        self.complete[row] = token == self._eos_token_id
        return token


DecodeRows = Callable[[Sequence[int], RowProcessor], list[list[int]]]


def n_best(
    rows: int, decode: DecodeRows, grammar: GrammarProcessor, threshold: float, eos_token_id: int
) -> list[list[list[int]]]:
    """The ids of the whole answers found for each row, the greedy one first.

    Each prefix of at least probability `threshold` under the grammar is completed greedily. That gives at
    most 1 / `threshold` answers a row. A row without a whole answer has its greedy one, which was repaired.

    Args:
        decode: answers some rows, which it may be given several times, under a processor.
        grammar: of all rows.
    """
    found: list[list[list[int]]] = [[] for _ in range(rows)]
    greedy: list[list[int]] = []
    waiting = [Prefix(row, [], 0.0) for row in range(rows)]
    processor = grammar
    while waiting:
        prefixes, waiting = waiting[:rows], waiting[rows:]
        search = PrefixSearch(processor, prefixes, threshold, eos_token_id)
        answers = decode([prefix.row for prefix in prefixes], search)
        if not greedy:
            greedy = answers
        for prefix, is_complete, answer in zip(prefixes, search.complete, answers, strict=True):
            if is_complete:
                found[prefix.row].append(answer)
        for prefix in search.others:
            if prefix.tokens[-1] == eos_token_id:
                found[prefix.row].append(prefix.tokens)
            else:
                waiting.append(prefix)
        if waiting:
            processor = grammar.again([prefix.row for prefix in waiting[:rows]])
    return [candidates or [answer] for candidates, answer in zip(found, greedy, strict=True)]
