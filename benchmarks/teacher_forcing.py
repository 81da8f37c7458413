"""Force generation to give the references: untrained weights then give answers of the usual lengths."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat

import torch
from transformers import LogitsProcessor

from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.grammar_processor import GrammarProcessor
from viggo_pipe.tokens.prompt import PromptEncoder


class Forced(LogitsProcessor):
    """Give each row's next reference token the highest score; then apply the row's grammar, if any."""

    def __init__(self, references: Sequence[Sequence[int]], grammar: GrammarProcessor | None):
        longest = max(map(len, references))
        padded = [[*tokens, *repeat(tokens[-1], longest - len(tokens))] for tokens in references]
        self._references, self._grammar, self._step = torch.tensor(padded), grammar, 0
        self._rows: list[int] | None = None  # those that `_forced` has

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return self.masked(
            scores, range(len(self._references)), input_ids[:, -1].tolist() if self._step else None
        )

    def masked(self, scores: torch.Tensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.Tensor:
        """As `GrammarProcessor.masked`."""
        if self._rows is None:
            self._references = _moved(self._references, scores.device)
        if list(rows) != self._rows:
            # Indexed on the GPU. On the host, torch's threads would spin for some milliseconds on the cores
            # that compute the grammar's masks.
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
    """A `Constraint` that forces references."""

    def __init__(self, references: Mapping[str, list[int]], constraint: Constraint | None):
        self._references, self._constraint = references, constraint

    def processors(self, batches: Sequence[Sequence[str]]) -> Iterator[Forced]:
        """As `Constraint.processors`, for one generation."""
        grammars = repeat(None) if self._constraint is None else self._constraint.processors(batches)
        forced = zip(batches, grammars)  # noqa: B905 (repeat has no end)
        return (
            Forced([self._references[sentence] for sentence in sentences], grammar)
            for sentences, grammar in forced
        )


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`, copied from pinned memory: that does not wait for the GPU."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def reference_tokens(encoder: PromptEncoder, rows: Sequence[Mapping[str, str]]) -> dict[str, list[int]]:
    """The ids of each sentence's reference, EOS included."""
    examples = {
        row["sentence"]: encoder.example(row["sentence"], row["meaning_representation"]) for row in rows
    }
    return {
        sentence: example["input_ids"][example["answer_start"] :] for sentence, example in examples.items()
    }
