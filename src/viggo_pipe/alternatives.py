"""Other answers than the greedy one, where a step was close, and which of them the model holds the likeliest.

Under a grammar, each greedy step takes the likeliest of the tokens that are admitted, though what the model would have said
after it may not be: answers' probabilities are not the ones that the model has for them (Park et al. 2024, arXiv:2405.21047).
So what could have been said is asked for its probability without the grammar.
"""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional
from transformers import LogitsProcessor, PreTrainedModel

from viggo_pipe.collation import CausalCollator
from viggo_pipe.constrained_decoding import Constraint, GrammarProcessor
from viggo_pipe.prompt import Example, PromptEncoder

_LIKELIEST = 8  # tokens of a step that are looked at
_SCORED = 16  # examples at a time, whose logits lie in memory in fp32


class Beginning(NamedTuple):
    """How an answer to the sentence `row` of a batch begins, and how likely that is under the grammar."""

    row: int
    tokens: list[int]
    log_probability: float


class Explorer(LogitsProcessor):
    """Has each row of a batch begin as it is told, go on with the likeliest tokens, and notes how else it could have gone on.

    For one call of `generate`, or of a `GraphedDecoder`'s `decode`, in the place of a `GrammarProcessor`.

    Args:
        grammar: of the batch's rows.
        beginnings: one a row.
        least: the probability that another beginning has at least, to be noted.

    Attributes:
        others: the beginnings that were noted.
    """

    def __init__(self, grammar: GrammarProcessor, beginnings: Sequence[Beginning], least: float, eos_token_id: int):
        self.others: list[Beginning] = []
        self._grammar, self._beginnings, self._eos_token_id = grammar, beginnings, eos_token_id
        self._least = math.log(least)
        self._reached = [beginning.log_probability for beginning in beginnings]
        self._taken: list[list[int]] = [[] for _ in beginnings]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores that leave one token to each row."""
        tokens = input_ids[:, -1].tolist() if any(self._taken) else None
        return self.masked(scores, range(len(self._beginnings)), tokens)

    def masked(self, scores: torch.FloatTensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.FloatTensor:
        """As `GrammarProcessor.masked`, with one token left to each row."""
        admitted = self._grammar.masked(scores, rows, tokens)
        values, ids = admitted.float().log_softmax(-1).topk(min(_LIKELIEST, admitted.shape[-1]))
        taken = [self._take(*of_row) for of_row in zip(rows, ids.tolist(), values.tolist(), strict=True)]
        only = torch.tensor(taken, device=scores.device).unsqueeze(1)
        return torch.full_like(scores, -torch.inf).scatter_(1, only, 0.0)

    def finish(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """As `GrammarProcessor.finish`."""
        return self._grammar.finish(rows)

    def _take(self, row: int, likeliest: list[int], log_probabilities: list[float]) -> int:
        beginning, taken = self._beginnings[row], self._taken[row]
        if taken and taken[-1] == self._eos_token_id:
            return self._eos_token_id
        if len(taken) < len(beginning.tokens):
            token = beginning.tokens[len(taken)]
        else:
            token, reached = likeliest[0], self._reached[row]
            self._reached[row] += log_probabilities[0]
            self.others += [
                Beginning(beginning.row, [*taken, other], reached + log_probability)
                for other, log_probability in zip(likeliest[1:], log_probabilities[1:], strict=True)
                if reached + log_probability >= self._least
            ]
        taken.append(token)
        return token


Decode = Callable[[Sequence[int], Explorer], list[list[int]]]


def likeliest_answers(
    model: PreTrainedModel,
    encoder: PromptEncoder,
    decode: Decode,
    sentences: Sequence[str],
    least: float,
    constraint: Constraint,
    grammar: GrammarProcessor,
) -> list[str]:
    """The answer to each of `sentences` that `model` gives the highest probability, of those that `answers_of` finds.

    Args:
        decode: the ids of answers to some of the sentences, by index, held to what it is given.
        grammar: of all the sentences.
    """

    def grammar_of(rows: Sequence[int]) -> GrammarProcessor:
        return next(constraint.processors([[sentences[row] for row in rows]]))

    tokenizer = encoder.tokenizer
    found = answers_of(len(sentences), decode, grammar, grammar_of, least, tokenizer.eos_token_id)
    texts = [list(dict.fromkeys(map(encoder.decode, of_row))) for of_row in found]
    several = [(row, text) for row, of_row in enumerate(texts) if len(of_row) > 1 for text in of_row]
    examples = [encoder.example(sentences[row], text) for row, text in several]
    scores = dict(zip(several, log_probabilities(model, examples, tokenizer.pad_token_id), strict=True))
    # The first of the best ones: the greedy one where it is as good.
    return [max(of_row, key=lambda text, row=row: scores.get((row, text), 0.0)) for row, of_row in enumerate(texts)]


def answers_of(
    rows: int,
    decode: Decode,
    grammar: GrammarProcessor,
    grammar_of: Callable[[Sequence[int]], GrammarProcessor],
    least: float,
    eos_token_id: int,
) -> list[list[list[int]]]:
    """The ids of the answers to each of so many rows, the greedy one first.

    Every beginning that has at least the probability `least` under the grammar, and that a step's likeliest tokens lead to, is
    followed to an end; there are at most 1 / `least` of them a row.

    Args:
        decode: the answers to some rows, of which one may be named several times, held to what it is given.
        grammar: of all rows.
        grammar_of: the grammar of some rows.
    """
    answers: list[list[list[int]]] = [[] for _ in range(rows)]
    waiting = [Beginning(row, [], 0.0) for row in range(rows)]
    while waiting:
        some, waiting = waiting[:rows], waiting[rows:]
        explorer = Explorer(grammar, some, least, eos_token_id)
        for beginning, answer in zip(some, decode([beginning.row for beginning in some], explorer), strict=True):
            answers[beginning.row].append(answer)
        waiting += explorer.others
        if waiting:
            grammar = grammar_of([beginning.row for beginning in waiting[:rows]])
    return answers


@torch.inference_mode()
def log_probabilities(model: PreTrainedModel, examples: Sequence[Example], pad_token_id: int) -> list[float]:
    """The natural logarithm of the probability that `model` gives to the answer and EOS of each of `examples`."""
    collate, found = CausalCollator(pad_token_id, "answer"), []
    for start in range(0, len(examples), _SCORED):
        batch = collate(examples[start : start + _SCORED])
        labels = batch.pop("labels").to(model.device)[:, 1:]
        given = {name: value.to(model.device) if torch.is_tensor(value) else value for name, value in batch.items()}
        logits = model(**given).logits[:, :-1]
        losses = functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="none")
        found += (-losses.view(labels.shape).sum(1)).tolist()
    return found
