"""The one place where a prompt is rendered and tokenized, for training and generation alike."""

import copy
from collections.abc import Sequence
from typing import Any, TypedDict

from transformers import PreTrainedTokenizerBase

from viggo_pipe.config.settings.prompt import MEANING_REPRESENTATION, SENTENCE, PromptSettings


class Example(TypedDict):
    """A tokenized row: BOS, prompt, answer, EOS; the answer starts at index `answer_start` of `input_ids`."""

    input_ids: list[int]
    answer_start: int


class PromptEncoder:
    """Turns sentences, with or without their meaning representation, into token ids.

    Prompt and answer are tokenized separately and joined as ids. Tokenizing their joined text can merge a
    piece across the border: the model would generate after a prefix that it was never trained on (trl#598).

    Attributes:
        has_reverse: whether there is a prompt for reverse rows.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings):
        self.tokenizer = tokenizer
        self._before, self._after = settings.template.split(SENTENCE)
        self.has_reverse = settings.reverse is not None
        self._around = None if settings.reverse is None else settings.reverse.split(MEANING_REPRESENTATION)
        # Not left to the tokenizer's own add_bos/add_eos switches, which interfere (transformers#23833).
        # transformers' types let a token's id be anything that a tokenizer holds.
        bos: Any = tokenizer.bos_token_id
        self._bos: list[int] = [] if bos is None else [bos]
        self._eos: Any = tokenizer.eos_token_id
        # A copy, since the settings below would count for all who use `tokenizer`. It takes two thirds of the
        # time of the tokenizer's own call, which makes offsets and masks as well.
        self._backend: Any = copy.deepcopy(tokenizer.backend_tokenizer) if tokenizer.is_fast else None
        if self._backend is not None:
            self._backend.no_truncation()  # a tokenizer.json can hold either
            self._backend.no_padding()
            self._backend.encode_special_tokens = True

    def prompt(self, sentence: str) -> list[int]:
        """BOS and the prompt of `sentence`."""
        return self._bos + self._encode([self._before + sentence + self._after])[0]

    def example(self, sentence: str, meaning_representation: str) -> Example:
        """The training row of `sentence` with its answer and EOS; its prompt part equals
        `prompt(sentence)`.
        """
        return self.examples([sentence], [meaning_representation])[0]

    def reverse_example(self, sentence: str, meaning_representation: str) -> Example:
        """The reverse row, whose answer is the sentence. It takes a prompt for reverse rows."""
        return self.reverse_examples([sentence], [meaning_representation])[0]

    def examples(self, sentences: Sequence[str], meaning_representations: Sequence[str]) -> list[Example]:
        """What `example` gives for each pair, tokenized at once, by all cores."""
        prompts = [self._before + sentence + self._after for sentence in sentences]
        return self._examples(prompts, meaning_representations)

    def reverse_examples(
        self, sentences: Sequence[str], meaning_representations: Sequence[str]
    ) -> list[Example]:
        """What `reverse_example` gives for each pair, tokenized at once, by all cores."""
        assert self._around is not None, "there is no reverse prompt"
        before, after = self._around
        return self._examples([before + meaning + after for meaning in meaning_representations], sentences)

    def decode(self, token_ids: list[int]) -> str:
        """The text of generated ids: special tokens removed, cut at the end of the first line, stripped."""
        lines = str(self.tokenizer.decode(token_ids, skip_special_tokens=True)).splitlines()
        return lines[0].strip() if lines else ""

    def _examples(self, prompts: Sequence[str], answers: Sequence[str]) -> list[Example]:
        ids = self._encode([*prompts, *answers])
        return [
            Example(
                input_ids=[*self._bos, *prompt, *answer, self._eos],
                answer_start=len(self._bos) + len(prompt),
            )
            for prompt, answer in zip(ids[: len(prompts)], ids[len(prompts) :], strict=True)
        ]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        distinct = list(dict.fromkeys(texts))  # several sentences often share a meaning representation
        ids = dict(zip(distinct, self._encode_distinct(distinct), strict=True))
        return [ids[text] for text in texts]

    def _encode_distinct(self, texts: list[str]) -> list[list[int]]:
        # A sentence that contains "</s>" is text: it must not turn into the token that ends an answer.
        if self._backend is None:
            return self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
