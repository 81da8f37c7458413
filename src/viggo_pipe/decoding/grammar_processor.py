"""Masks the scores of a batch by the grammar of each row."""

from collections.abc import Sequence

import llguidance.torch
import torch
from llguidance import LLExecutor, LLMatcher

from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.decoding.masks import apply_masks
from viggo_pipe.decoding.repair import end_answer
from viggo_pipe.decoding.row_processor import RowProcessor
from viggo_pipe.decoding.vocabulary import Vocabulary


class GrammarProcessor(RowProcessor):
    """Admits only the tokens that the grammar of a row allows, and spells known names as they are known.

    Args:
        sentences: of the rows, for error messages.
        matchers: the compiled grammars of the rows, at their start.
        known_names: spell the names in answers.
        executor: fills the masks, on all cores.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        matchers: Sequence[LLMatcher],
        vocabulary: Vocabulary,
        known_names: KnownNames,
        executor: LLExecutor,
    ):
        self._sentences, self._matchers = sentences, matchers
        self._vocabulary, self._known_names, self._executor = vocabulary, known_names, executor
        self._running = set(range(len(matchers)))  # rows whose answers have not ended
        self._masks = llguidance.torch.allocate_token_bitmask(len(matchers), vocabulary.tokenizer.vocab_size)

    def masked(self, scores: torch.Tensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.Tensor:
        """See `RowProcessor.masked`.

        Raises:
            RuntimeError: llguidance gave up on a grammar.
        """
        if tokens is not None:
            self._consume(tokens)
        masks = self._masks[: len(rows)]
        to_fill = [(self._matchers[row], place) for place, row in enumerate(rows) if row in self._running]
        if to_fill:
            llguidance.torch.fill_next_token_bitmask_par(self._executor, to_fill, masks)
        return apply_masks(scores, masks)

    def finish(self, answers: Sequence[Sequence[int]]) -> list[list[int]]:
        """See `RowProcessor.finish`: a row that ran out of tokens is cut back to where it can be ended."""
        self._consume([ids[-1] for ids in answers])
        return [
            self.respelled(
                end_answer(self._matchers[row], ids, self._vocabulary) if row in self._running else ids
            )
            for row, ids in enumerate(answers)
        ]

    def respelled(self, ids: Sequence[int]) -> list[int]:
        """The ids of an answer whose known names are spelled as they are known."""
        answer = self._vocabulary.decode(ids)
        respelled = self._known_names.respelled(answer)
        return list(ids) if respelled == answer else self._vocabulary.encode(respelled)

    def again(self, rows: Sequence[int]) -> "GrammarProcessor":
        """A processor for another generation of `rows`, which may name a row several times.

        The grammars are not compiled again: copies share what was computed for earlier masks.
        """
        copies = [self._matchers[row].deep_copy() for row in rows]
        for matcher in copies:
            matcher.reset()
        return GrammarProcessor(
            [self._sentences[row] for row in rows],
            copies,
            self._vocabulary,
            self._known_names,
            self._executor,
        )

    def _consume(self, tokens: Sequence[int]) -> None:
        if not self._running:  # llguidance refuses an empty list
            return
        running = sorted(self._running)
        consumed = self._executor.consume_token_par([(self._matchers[row], tokens[row]) for row in running])
        for row, is_consumed in zip(running, consumed, strict=True):
            matcher = self._matchers[row]
            # After an error a mask admits nothing but the answer's end.
            if not is_consumed or matcher.is_error():
                raise RuntimeError(
                    f"no grammar for {self._sentences[row]!r} behind token {tokens[row]}: "
                    f"{matcher.get_error()}"
                )
            if tokens[row] == self._vocabulary.eos_token_id:
                self._running.remove(row)
