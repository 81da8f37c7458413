"""Other answers than the greedy one, where a step was close, and which of them the model holds the likeliest.

Under a grammar, each greedy step takes the likeliest of the tokens that are admitted, though the model may think little of all
that can follow. Park et al. 2024 (arXiv:2405.21047) show how sampling so is distorted. Here a search over prefixes finds what
else the grammar makes likely, and the n-best list is rescored by the model's own probability, without the grammar; and, with a
weight, by that of the sentence given the answer, from an adapter that has learnt the other direction (a noisy channel, as in
Yee et al. 2019, arXiv:1908.05731).
"""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional
from transformers import LogitsProcessor, PreTrainedModel

from viggo_pipe.adapter import other_direction
from viggo_pipe.collation import CausalCollator
from viggo_pipe.constrained_decoding import GrammarProcessor
from viggo_pipe.prompt import Example, PromptEncoder
from viggo_pipe.settings.generate import GenerateSettings

_SCORED = 32  # examples at a time, at most


class Prefix(NamedTuple):
    """How an answer to the sentence `row` of a batch begins, and how likely that is under the grammar."""

    row: int
    tokens: list[int]
    log_probability: float


class PrefixSearch(LogitsProcessor):
    """Has each row of a batch begin with its prefix and go on greedily, and notes how else it could have gone on.

    For one call of `generate`, or of a `GraphedDecoder`'s `decode`, in the place of the grammar's own processor.

    Args:
        grammar: of the batch's rows.
        prefixes: one a row.
        threshold: the probability that another prefix has at least, to be noted.

    Attributes:
        others: the prefixes that were noted.
        complete: by row, whether its answer ended with EOS, which the grammar admits behind whole answers alone.
    """

    def __init__(self, grammar: GrammarProcessor, prefixes: Sequence[Prefix], threshold: float, eos_token_id: int):
        self.others: list[Prefix] = []
        self.complete = [False] * len(prefixes)
        self._grammar, self._prefixes, self._eos_token_id = grammar, prefixes, eos_token_id
        self._threshold = math.log(threshold)
        self._most = int(1 / threshold)  # tokens of a step that can be as likely as that
        self._cumulative = [prefix.log_probability for prefix in prefixes]
        self._taken: list[list[int]] = [[] for _ in prefixes]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """`scores` that leave one token to each row; what else was likely is noted."""
        tokens = input_ids[:, -1].tolist() if any(self._taken) else None
        return self.masked(scores, range(len(self._prefixes)), tokens)

    def masked(self, scores: torch.FloatTensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.FloatTensor:
        """As `GrammarProcessor.masked`, with one token left to each row; what else was likely is noted."""
        admitted = self._grammar.masked(scores, rows, tokens)
        values, ids = admitted.float().log_softmax(-1).topk(min(self._most, admitted.shape[-1]))
        cumulative = torch.tensor([self._cumulative[row] for row in rows], device=scores.device).unsqueeze(1)
        kept = cumulative + values >= self._threshold
        kept[:, 0] = True
        places, columns = kept.nonzero(as_tuple=True)
        options: list[list[tuple[int, float]]] = [[] for _ in rows]
        found = (places, ids[places, columns], values[places, columns])
        for place, *option in zip(*(tensor.tolist() for tensor in found), strict=True):
            options[place].append(tuple(option))
        only = torch.tensor(list(map(self._take, rows, options)), device=scores.device).unsqueeze(1)
        return torch.full_like(scores, -torch.inf).scatter_(1, only, 0.0)

    def finish(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """As `GrammarProcessor.finish`."""
        return self._grammar.finish(rows)

    def _take(self, row: int, options: Sequence[tuple[int, float]]) -> int:
        """The next token of a row; `options`, with log-probabilities: the likeliest one, and what else is over the threshold."""
        prefix, taken = self._prefixes[row], self._taken[row]
        if self.complete[row]:
            return self._eos_token_id
        if len(taken) < len(prefix.tokens):
            token = prefix.tokens[len(taken)]
        else:
            (token, log_probability), *others = options
            reached = self._cumulative[row]
            self.others += [Prefix(prefix.row, [*taken, other], reached + value) for other, value in others]
            self._cumulative[row] += log_probability
        taken.append(token)
        self.complete[row] = token == self._eos_token_id
        return token


Decode = Callable[[Sequence[int], PrefixSearch], list[list[int]]]


def likeliest_answers(
    model: PreTrainedModel,
    encoder: PromptEncoder,
    decode: Decode,
    sentences: Sequence[str],
    settings: GenerateSettings,
    grammar: GrammarProcessor,
) -> list[list[int]]:
    """The ids of the answer to each of `sentences` that `model` gives the highest probability, of those that `n_best` finds.

    That is the probability of the answer's text as the tokenizer splits it, and of EOS: no sum over other ways to split it, and
    not the same for each length. With `settings.reverse_weight` it is multiplied by that of the sentence given the answer, to
    the power of the weight.

    Args:
        model: with an adapter of the other direction, and `encoder` with its prompt, for a `reverse_weight` above 0.
        decode: the ids of answers to some of the sentences, by index, held to what it is given.
        grammar: of all the sentences, `repeatable`.
    """
    tokenizer = encoder.tokenizer
    found = n_best(len(sentences), decode, grammar, settings.alternatives, tokenizer.eos_token_id)
    by_text: list[dict[str, list[int]]] = [{} for _ in found]
    for texts, of_row in zip(by_text, found, strict=True):
        for ids in of_row:
            texts.setdefault(encoder.decode(ids), ids)
    several = [(row, text) for row, texts in enumerate(by_text) if len(texts) > 1 for text in texts]
    examples = [encoder.example(sentences[row], text) for row, text in several]
    at_once = scored_at_once(settings)
    scores = torch.tensor(log_probabilities(model, examples, tokenizer.pad_token_id, at_once))
    if settings.reverse_weight:
        examples = [encoder.reverse_example(sentences[row], text) for row, text in several]
        with other_direction(model):
            asked = log_probabilities(model, examples, tokenizer.pad_token_id, at_once)
        scores += settings.reverse_weight * torch.tensor(asked)
    best: dict[int, tuple[float, str]] = {}
    for (row, text), score in zip(several, scores.tolist(), strict=True):
        if row not in best or score > best[row][0]:  # the greedy answer comes first, and stays where it is as good
            best[row] = score, text
    return [by_text[row][best[row][1]] if row in best else of_row[0] for row, of_row in enumerate(found)]


def n_best(
    rows: int,
    decode: Decode,
    grammar: GrammarProcessor,
    threshold: float,
    eos_token_id: int,
) -> list[list[list[int]]]:
    """The ids of the whole answers that are found for each of so many rows, the greedy one first; if none is whole, that one.

    Every prefix whose probability under the grammar is at least `threshold` is completed greedily: there are at most
    1 / `threshold` answers a row.

    Args:
        decode: the answers to some rows, of which one may be named several times, held to what it is given.
        grammar: of all rows, `repeatable`.
    """
    whole: list[list[list[int]]] = [[] for _ in range(rows)]
    waiting, greedy, of_pass = [Prefix(row, [], 0.0) for row in range(rows)], None, grammar
    while waiting:
        some, waiting = waiting[:rows], waiting[rows:]
        search = PrefixSearch(of_pass, some, threshold, eos_token_id)
        decoded = decode([prefix.row for prefix in some], search)
        greedy = greedy or decoded
        for prefix, complete, answer in zip(some, search.complete, decoded, strict=True):
            if complete:
                whole[prefix.row].append(answer)
        for prefix in search.others:
            if prefix.tokens[-1] == eos_token_id:
                whole[prefix.row].append(prefix.tokens)
            else:
                waiting.append(prefix)
        if waiting:
            of_pass = grammar.again([prefix.row for prefix in waiting[:rows]])
    return [of_row or [answer] for of_row, answer in zip(whole, greedy, strict=True)]


def scored_at_once(settings: GenerateSettings) -> int:
    """How many examples are scored at a time: their logits lie in memory in fp32."""
    return min(_SCORED, settings.batch_size)


@torch.inference_mode()
def log_probabilities(model: PreTrainedModel, examples: Sequence[Example], pad_token_id: int, at_once: int) -> list[float]:
    """The natural logarithm of the probability that `model` gives to the answer and EOS of each of `examples`.

    Args:
        at_once: how many it is given at a time; those of like length together.
    """
    collate, found = CausalCollator(pad_token_id, "answer"), [0.0] * len(examples)
    by_length = sorted(range(len(examples)), key=lambda index: len(examples[index]["input_ids"]))
    for start in range(0, len(examples), at_once):
        some = by_length[start : start + at_once]
        batch = collate([examples[index] for index in some])
        labels = batch.pop("labels").to(model.device)[:, 1:]
        given = {name: value.to(model.device) if torch.is_tensor(value) else value for name, value in batch.items()}
        logits = model(**given, use_cache=False).logits[:, :-1]
        losses = functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="none")
        for index, loss in zip(some, losses.view(labels.shape).sum(1).tolist(), strict=True):
            found[index] = -loss
    return found
