"""Compiles the grammars of sentences with llguidance, ahead of the batches that need them."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from llguidance import LLExecutor, LLMatcher
from transformers import PreTrainedTokenizerBase

from viggo_pipe.decoding.grammar import answer_grammar
from viggo_pipe.decoding.grammar_processor import GrammarProcessor
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.decoding.vocabulary import Vocabulary

# llguidance drops an error at each answer's end. With RUST_BACKTRACE=1, Rust would collect its stack first.
os.environ.setdefault("RUST_LIB_BACKTRACE", "0")

_AHEAD = 1024  # sentences whose grammars are compiled in advance, in about 0.3 MiB each


class Constraint:
    """Holds answers to the grammars of their sentences.

    Raises:
        InputError: llguidance cannot read the tokenizer, or misreads it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, known_names: KnownNames):
        self._vocabulary = Vocabulary(tokenizer)
        self._known_names = known_names
        self._executor = LLExecutor()
        # The other half of the cores fills masks meanwhile.
        self._compilers = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2))

    def processors(self, batches: Sequence[Sequence[str]]) -> Iterator[GrammarProcessor]:
        """A processor for each batch of sentences, in their order.

        Grammars take milliseconds each. Threads compile those of the first batches from this call on, so
        call it before the model is loaded. Each batch that is taken lets another one be compiled.
        """
        ahead = 1 + _AHEAD // max(map(len, batches), default=1)
        return self._in_turn(batches, deque(self._compile(sentences) for sentences in batches[:ahead]))

    @contextmanager
    def cancel_on_error(self) -> Iterator[None]:
        """Stop compiling if the block fails. Else the threads would delay the end of the process."""
        try:
            yield
        except BaseException:
            self._compilers.shutdown(wait=False, cancel_futures=True)
            raise

    def refused(self, sentences: Sequence[str], answers: Sequence[str]) -> list[int]:
        """The indices of the `answers` that their `sentences` cannot have.

        Their grammars do not admit them, or a known name is spelled in another way.
        """
        refused = []
        compiling = self._compile(sentences)
        for index, (answer, future) in enumerate(zip(answers, compiling, strict=True)):
            ids = self._vocabulary.encode(answer)
            is_admitted = future.result().validate_tokens(ids) == len(ids)
            if not is_admitted or self._known_names.respelled(answer) != answer:
                refused.append(index)
        return refused

    def _in_turn(
        self, batches: Sequence[Sequence[str]], compiling: deque[list[Future[LLMatcher]]]
    ) -> Iterator[GrammarProcessor]:
        ahead = len(compiling)
        for index, sentences in enumerate(batches):
            if index + ahead < len(batches):
                compiling.append(self._compile(batches[index + ahead]))
            matchers = [future.result() for future in compiling.popleft()]
            yield GrammarProcessor(sentences, matchers, self._vocabulary, self._known_names, self._executor)

    def _compile(self, sentences: Sequence[str]) -> list[Future[LLMatcher]]:
        return [self._compilers.submit(self._matcher, sentence) for sentence in sentences]

    def _matcher(self, sentence: str) -> LLMatcher:
        matcher = LLMatcher(self._vocabulary.tokenizer, self._grammar(sentence))
        matcher.compute_bitmask()  # the first one takes by far the longest; its results are cached
        if matcher.is_error():
            raise RuntimeError(f"no grammar for the sentence {sentence!r}: {matcher.get_error()}")
        return matcher

    def _grammar(self, sentence: str) -> str:
        writable = self._vocabulary.writable
        sentence = writable(sentence)
        known = self._known_names.resembling(sentence)
        known = {
            attribute: [value for value in values if writable(value) == value]
            for attribute, values in known.items()
        }
        return answer_grammar(sentence, known)
