"""A tokenizer as llguidance reads it, and which texts it can write."""

from collections.abc import Sequence
from typing import cast

import llguidance.hf
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from viggo_pipe.core.errors import InputError, one_line

_SAMPLE = "an 'Æ 10+', (b) "


class Vocabulary:
    """The tokens that grammars are compiled for.

    Attributes:
        tokenizer: llguidance's.
        eos_token_id: the token that ends an answer.

    Raises:
        InputError: llguidance cannot read the tokenizer, or misreads it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        # slices=[]: llguidance's token sets for JSON strings cost compile time and speed up no mask here.
        try:
            self.tokenizer = llguidance.hf.from_tokenizer(cast(PreTrainedTokenizerFast, tokenizer), slices=[])
        except ValueError as error:  # WordPiece, Unigram, or a tokenizer in Python
            raise InputError(
                "generate.constrain: llguidance cannot read the base model's tokenizer "
                f"({one_line(error)[:200]}); set it to false"
            ) from error
        self.eos_token_id = cast(int, tokenizer.eos_token_id)
        self._can_write: dict[str, bool] = {}  # by character
        ids = tokenizer(_SAMPLE, add_special_tokens=False)["input_ids"]
        if self.tokenizer.decode_str(ids).strip() != _SAMPLE.strip():
            raise InputError(
                "generate.constrain: llguidance misreads the base model's tokenizer; set it to false"
            )

    def encode(self, answer: str) -> list[int]:
        """The ids of `answer` and of EOS."""
        return [*self.tokenizer.tokenize_str(answer), self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer's ids, up to its first EOS."""
        ids = list(ids)
        end = ids.index(self.eos_token_id) if self.eos_token_id in ids else len(ids)
        return self.tokenizer.decode_str(ids[:end])

    def writable(self, text: str) -> str:
        """`text` with a space for each character that no tokens can write.

        Byte-level vocabularies can lack control characters. An answer could not go on at one.
        """
        return "".join(character if self._has_tokens(character) else " " for character in text)

    def _has_tokens(self, character: str) -> bool:
        if character not in self._can_write:
            encoded = character.encode()
            # A tokenizer that normalizes the character to another one can still have tokens for its bytes.
            self._can_write[character] = self._round_trips(encoded) or all(
                self._round_trips(bytes([byte])) for byte in encoded
            )
        return self._can_write[character]

    def _round_trips(self, text: bytes) -> bool:
        tokens = self.tokenizer.tokenize_bytes(text)
        return self.tokenizer.decode_bytes(tokens).endswith(text)  # SentencePiece puts a space before it
