"""Generation that is made to give references, so that random or untrained weights have answers of the usual lengths."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat

import torch
from transformers import LogitsProcessor

from viggo_pipe.constrained_decoding import Constraint, GrammarProcessor
from viggo_pipe.prompt import PromptEncoder


class Forced(LogitsProcessor):
    """Gives each row's next reference token the highest score, and then asks the row's grammar, if there is one."""

    def __init__(self, references: Sequence[Sequence[int]], grammar: GrammarProcessor | None):
        longest = max(map(len, references))
        padded = [[*tokens, *repeat(tokens[-1], longest - len(tokens))] for tokens in references]
        self._references, self._grammar, self._step = torch.tensor(padded), grammar, 0
        self._rows: list[int] | None = None  # those that `_forced` has

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return self.masked(scores, range(len(self._references)), input_ids[:, -1].tolist() if self._step else None)

    def masked(self, scores: torch.Tensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.Tensor:
        """As `GrammarProcessor.masked`."""
        if self._rows is None:
            self._references = _moved(self._references, scores.device)
        if list(rows) != self._rows:
            # Indexed on the GPU: on the host torch does it by threads that for some milliseconds after it wait at full speed,
            # on the cores that a grammar's masks need.
            self._rows = list(rows)
            self._forced = self._references[_moved(torch.tensor(self._rows), scores.device)]
        column = min(self._step, self._references.shape[1] - 1)
        self._step += 1
        scores = scores.scatter(1, self._forced[:, column : column + 1], 1e4)
        return scores if self._grammar is None else self._grammar.masked(scores, rows, tokens)

    def finish(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """As `GrammarProcessor.finish`."""
        return [list(row) for row in rows] if self._grammar is None else self._grammar.finish(rows)


class ForcedConstraint:
    """Stands for a `Constraint`, and forces references."""

    def __init__(self, references: Mapping[str, list[int]], constraint: Constraint | None):
        self._references, self._constraint = references, constraint

    def processors(self, batches: Sequence[Sequence[str]], repeatable: bool = False) -> Iterator[Forced]:
        """As `Constraint.processors`, for one generation."""
        grammars = repeat(None) if self._constraint is None else self._constraint.processors(batches)
        forced = zip(batches, grammars)  # noqa: B905 (repeat has no end)
        return (Forced([self._references[sentence] for sentence in sentences], grammar) for sentences, grammar in forced)


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`: from pinned memory, whose copy does not wait for what the GPU has to do yet."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def reference_tokens(encoder: PromptEncoder, rows: Sequence[Mapping[str, str]]) -> dict[str, list[int]]:
    """The ids of each sentence's reference, and EOS."""
    examples = {row["sentence"]: encoder.example(row["sentence"], row["meaning_representation"]) for row in rows}
    return {sentence: example["input_ids"][example["answer_start"] :] for sentence, example in examples.items()}
