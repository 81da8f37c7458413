"""Constrained decoding with llguidance: of each sentence's next tokens, those that its grammar allows."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from itertools import islice
from typing import Protocol

import llguidance.hf
import llguidance.torch
import torch
from llguidance import LLExecutor, LLMatcher
from torch.nn import functional
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from viggo_pipe.errors import InputError
from viggo_pipe.grammar import answer_grammar
from viggo_pipe.lexicon import Lexicon

# At each answer's end llguidance makes an error that it drops. With RUST_BACKTRACE=1 the stack is written down for it, one thread
# at a time: on 12 threads nearly half of the time that it takes to give grammars their tokens. Rust reads this once, at an error.
os.environ.setdefault("RUST_LIB_BACKTRACE", "0")

_WORD, _BYTE = 32, 8  # bits of a mask's word
_AT_ONCE = 8  # sentences whose grammars a thread writes, or compiles
_AHEAD = 1024  # sentences whose grammars are ready before they are needed, at some 0.3 MiB each
_FREED_AT_ONCE = 8  # compiled grammars, each in 0.05 to 0.15 ms


class RowProcessor(Protocol):
    """What `GraphedDecoder` asks for the scores of a batch's rows, and what then mends answers that ran out of tokens."""

    def masked(self, scores: torch.FloatTensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.FloatTensor:
        """As `GrammarProcessor.masked`."""

    def finish(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """As `GrammarProcessor.finish`."""


class Constraint:
    """Holds answers to the grammars of their sentences.

    Raises:
        InputError: llguidance does not read this tokenizer as it is.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, lexicon: Lexicon):
        self._lexicon = lexicon
        # Without the sets of tokens that llguidance has ready for JSON's strings: they are compiled into each grammar, for a
        # twelfth of its time, and no mask here is made faster by them.
        self._vocabulary = llguidance.hf.from_tokenizer(tokenizer, slices=[])
        text = "an 'Æ 10+', (b) "
        if self._vocabulary.decode_str(tokenizer(text, add_special_tokens=False)["input_ids"]).strip() != text.strip():
            raise InputError("generate.constrain: llguidance misreads the base model's tokenizer; set it to false")
        self._executor = LLExecutor()
        # One thread writes grammars: several, that share the interpreter with the one that generates, would hold it up.
        self._writer = ThreadPoolExecutor(1)
        self._compilers = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2))  # the other cores fill masks meanwhile
        self._eos_token_id = tokenizer.eos_token_id
        self._has_tokens: dict[str, bool] = {}  # by character
        # What can end an answer that ran out of tokens, behind a whole slot and behind a whole value.
        self._endings = [[*self._vocabulary.tokenize_str(text), self._eos_token_id] for text in ("", ")", "])")]

    def processors(self, batches: Sequence[Sequence[str]], repeatable: bool = False) -> Iterator["GrammarProcessor"]:
        """What holds each batch of sentences to their grammars, one batch after another.

        Grammars, some milliseconds each, are compiled on other threads from this call on: to be made as early as the sentences
        are known, before a model is loaded. Those of the first batches, `_AHEAD` sentences at least, are; then, whenever a batch
        is given out, those of another.

        Args:
            repeatable: the batches' rows can be generated `again`.
        """
        processors = (self._processor(sentences, repeatable) for sentences in batches)
        ahead = deque(islice(processors, 1 + _AHEAD // max(map(len, batches), default=1)))

        def given_out() -> Iterator[GrammarProcessor]:
            while ahead:
                ahead.extend(islice(processors, 1))
                yield ahead.popleft()

        return given_out()

    @contextmanager
    def compiling_for(self) -> Iterator[None]:
        """A block that what is compiled is for: an error in it ends the compiling, which else would hold up the process's end."""
        try:
            yield
        except BaseException:
            for executor in (self._writer, self._compilers):
                executor.shutdown(wait=False, cancel_futures=True)
            raise

    def refused(self, sentences: Sequence[str], answers: Sequence[str]) -> list[int]:
        """Which of `answers`, by index, the grammars of their `sentences` do not admit, so that no model can give them."""
        matchers = _taken_out(self._compiling(sentences))
        tokens = [[*self._vocabulary.tokenize_str(answer), self._eos_token_id] for answer in answers]
        admitted = [matcher.validate_tokens(ids) for ids, matcher in zip(tokens, matchers, strict=True)]
        return [index for index, ids in enumerate(tokens) if admitted[index] < len(ids)]

    def _processor(self, sentences: Sequence[str], repeatable: bool) -> "GrammarProcessor":
        get_matchers = partial(_taken_out, self._compiling(sentences))
        size = self._vocabulary.vocab_size
        return GrammarProcessor(sentences, get_matchers, self._executor, size, self._endings, self._eos_token_id, repeatable)

    def _compiling(self, sentences: Sequence[str]) -> list[Future[list[LLMatcher]]]:
        some = [sentences[start : start + _AT_ONCE] for start in range(0, len(sentences), _AT_ONCE)]
        return [self._compilers.submit(self._matchers, few, self._writer.submit(self._grammars, few)) for few in some]

    def _grammars(self, sentences: Sequence[str]) -> list[str]:
        sentences = list(map(self._writable, sentences))
        return list(map(answer_grammar, sentences, map(self._without_unwritable, self._lexicon.resembling(sentences))))

    def _writable(self, text: str) -> str:
        """`text`, with a space for each character that the model has no tokens for.

        A byte-level vocabulary can lack some control characters: an answer that came to one could not go on.
        """
        for character in set(text) - self._has_tokens.keys():
            whole = character.encode()
            # A tokenizer that writes another character in its place can have its bytes.
            self._has_tokens[character] = self._gives_back(whole) or all(self._gives_back(bytes([one])) for one in whole)
        return "".join(one if self._has_tokens[one] else " " for one in text)

    def _gives_back(self, text: bytes) -> bool:
        tokens = self._vocabulary.tokenize_bytes(text)
        return self._vocabulary.decode_bytes(tokens).endswith(text)  # behind a space, for SentencePiece's

    def _without_unwritable(self, known: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        return {attribute: [one for one in values if self._writable(one) == one] for attribute, values in known.items()}

    def _matchers(self, sentences: Sequence[str], grammars: Future[list[str]]) -> list[LLMatcher]:
        matchers = [LLMatcher(self._vocabulary, grammar) for grammar in grammars.result()]
        for sentence, matcher in zip(sentences, matchers, strict=True):
            matcher.compute_bitmask()  # the first takes by far the longest; what it works out is kept for the first step
            if matcher.is_error():
                raise RuntimeError(f"no grammar for the sentence {sentence!r}: {matcher.get_error()}")
        return matchers


@cache
def _stream_beside(device: torch.device) -> torch.cuda.Stream:
    """One for all batches: torch keeps memory apart for each stream, and would ask CUDA for some again and again."""
    return torch.cuda.Stream(device)


def _taken_out(compiling: list[Future[list[LLMatcher]]]) -> list[LLMatcher]:
    """The compiled grammars, in their order; `compiling` is emptied, so that nothing else holds them."""
    found = [matcher for few in compiling for matcher in few.result()]
    compiling.clear()
    return found


class GrammarProcessor(LogitsProcessor):
    """Masks the scores of a batch, (rows, vocabulary), at each step of transformers' `generate`; for one call of it.

    Args:
        sentences: of the rows.
        get_matchers: called once, at the first step, for the rows' compiled grammars.
        vocabulary_size: of the tokenizer, in tokens; models can have scores for more of them, which are refused, or for less.
        endings: what can end an answer that ran out of tokens.
        repeatable: the rows can be generated `again`.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        get_matchers: Callable[[], list[LLMatcher]],
        executor: LLExecutor,
        vocabulary_size: int,
        endings: Sequence[Sequence[int]],
        eos_token_id: int,
        repeatable: bool = False,
    ):
        self._sentences, self._get_matchers, self._repeatable = sentences, get_matchers, repeatable
        self._executor, self._vocabulary_size = executor, vocabulary_size
        self._endings, self._eos_token_id = endings, eos_token_id
        self._running: dict[int, LLMatcher] | None = None  # by row; None before the first step
        self._ended: list[LLMatcher] = []  # of rows that have ended, to be freed
        self._unused: list[LLMatcher] = []  # by row, for `again`

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """`scores` with minus infinity where a row's grammar does not admit the token."""
        tokens = None if self._running is None else input_ids[:, -1].tolist()
        return self.masked(scores, range(len(scores)), tokens)

    def masked(self, scores: torch.FloatTensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.FloatTensor:
        """`scores`, (len(rows), vocabulary), with minus infinity where the grammar of a row does not admit the token.

        Args:
            rows: those of the batch that have scores; what is returned for one that has ended is undefined.
            tokens: the last one of every row of the batch; None: there is none yet.
        """
        if self._running is None:
            # Kept here alone, so that they can be freed some at a time, while the GPU is at a step. (Repeatable ones are freed
            # together, in some 15 ms a batch.)
            self._running = dict(enumerate(self._get_matchers()))
            if self._repeatable:
                self._unused = [matcher.deep_copy() for matcher in self._running.values()]
            words = -(-self._vocabulary_size // _WORD)
            # Pinned, so that nothing waits for its copy to the GPU; written again once a step's tokens have come from there.
            self._masks = torch.empty((len(self._running), words), dtype=torch.int32, pin_memory=scores.is_cuda)
            self._stream = _stream_beside(scores.device) if scores.is_cuda else None
            with self._beside():
                self._bits = torch.tensor([1 << bit for bit in range(_BYTE)], dtype=torch.uint8, device=scores.device)
        else:
            self._consume(tokens)
        masks = self._masks[: len(rows)]  # at the place of a row that has ended, whatever it was last
        to_fill = [(self._running[row], place) for place, row in enumerate(rows) if row in self._running]
        if to_fill:
            llguidance.torch.fill_next_token_bitmask_par(self._executor, to_fill, masks)
        del self._ended[-_FREED_AT_ONCE:]
        # On a stream of its own: the scores' own has the model's step to finish first.
        with self._beside():
            masks = masks.to(scores.device, non_blocking=True)
            # A token has a bit, the lowest first. By bytes, of which a word's lowest is the first on every machine that CUDA
            # runs on, and not by words: that is a quarter of the bytes to write.
            refused = (masks.view(torch.uint8).unsqueeze(-1) & self._bits == 0).flatten(1)[:, : scores.shape[1]]
            if refused.shape[1] < scores.shape[1]:
                refused = functional.pad(refused, (0, scores.shape[1] - refused.shape[1]), value=True)
        if self._stream is not None:
            current = torch.cuda.current_stream(scores.device)
            current.wait_stream(self._stream)
            refused.record_stream(current)
        return scores.masked_fill(refused, -torch.inf)

    def finish(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """The generated ids of each row, (rows, at most `max_new_tokens`), cut back and ended if it ran out of tokens.

        The longest beginning is kept that can be ended behind a value or a slot.
        """
        if self._running is None:
            return [list(row) for row in rows]
        self._consume([row[-1] for row in rows])
        return [self._mended(row, list(ids)) if row in self._running else list(ids) for row, ids in enumerate(rows)]

    def again(self, rows: Sequence[int]) -> "GrammarProcessor":
        """What holds another generation of some rows, of which one may be named several times, to their grammars.

        For a `repeatable` processor that has had its first step. The grammars are not compiled again: copies share what earlier
        masks have worked out, and also that llguidance has given up on one, if it has.
        """
        return GrammarProcessor(
            [self._sentences[row] for row in rows],
            lambda: [self._unused[row].deep_copy() for row in rows],
            self._executor,
            self._vocabulary_size,
            self._endings,
            self._eos_token_id,
        )

    def _beside(self) -> AbstractContextManager:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _consume(self, tokens: Sequence[int]) -> None:
        if not self._running:  # llguidance refuses to be asked for nothing
            return
        taken = self._executor.consume_token_par([(matcher, tokens[row]) for row, matcher in self._running.items()])
        for (row, matcher), is_taken in zip(self._running.items(), taken, strict=True):
            if not is_taken or matcher.is_error():  # after an error, the end of the answer is all that a mask admits
                raise RuntimeError(f"no grammar for {self._sentences[row]!r} behind token {tokens[row]}: {matcher.get_error()}")
        for row in [row for row in self._running if tokens[row] == self._eos_token_id]:
            self._ended.append(self._running.pop(row))

    def _mended(self, row: int, ids: list[int]) -> list[int]:
        matcher = self._running[row]
        for end in range(len(ids), 0, -1):
            for ending in self._endings:
                if matcher.validate_tokens(ending) == len(ending):
                    return ids[:end] + ending
            matcher.rollback(1)
        return ids
