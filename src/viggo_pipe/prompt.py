"""The one place where a prompt is rendered and tokenized, for training and generation alike."""

from typing import TypedDict

from transformers import PreTrainedTokenizerBase

from viggo_pipe.settings.prompt import MEANING_REPRESENTATION, SENTENCE, PromptSettings


class Example(TypedDict):
    """A tokenized row: BOS, prompt, answer, EOS; the answer starts at index `answer_start` of `input_ids`."""

    input_ids: list[int]
    answer_start: int


class PromptEncoder:
    """Turns sentences, with or without their meaning representation, into token ids.

    Prompt and answer are tokenized apart and joined as ids: tokenizing their joined text can merge a piece across the
    border, and the model would then generate after a prefix that it was never trained on (trl#598).

    Attributes:
        has_reverse: whether there is a prompt of the other direction.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings):
        self.tokenizer = tokenizer
        self._before, self._after = settings.template.split(SENTENCE)
        self.has_reverse = settings.reverse is not None
        self._around = settings.reverse.split(MEANING_REPRESENTATION) if self.has_reverse else None
        # Not left to the tokenizer's own add_bos/add_eos switches, which interfere (transformers#23833).
        self._bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]

    def prompt(self, sentence: str) -> list[int]:
        """BOS and the prompt of `sentence`."""
        return self._bos + self._encode(self._before + sentence + self._after)

    def example(self, sentence: str, meaning_representation: str) -> Example:
        """The training row of `sentence` with its answer and EOS; its prompt part equals `prompt(sentence)`."""
        return self._example(self.prompt(sentence), meaning_representation)

    def reverse_example(self, sentence: str, meaning_representation: str) -> Example:
        """The row of the other direction, whose answer is the sentence; there has to be a `reverse` prompt."""
        before, after = self._around
        return self._example(self._bos + self._encode(before + meaning_representation + after), sentence)

    def decode(self, token_ids: list[int]) -> str:
        """The text of generated ids: special tokens removed, cut at the end of the first line, stripped."""
        lines = self.tokenizer.decode(token_ids, skip_special_tokens=True).splitlines()
        return lines[0].strip() if lines else ""

    def _example(self, prompt: list[int], answer: str) -> Example:
        ids = prompt + self._encode(answer) + [self.tokenizer.eos_token_id]
        return Example(input_ids=ids, answer_start=len(prompt))

    def _encode(self, text: str) -> list[int]:
        # A sentence that contains "</s>" is text: it must not turn into the token that ends an answer.
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
