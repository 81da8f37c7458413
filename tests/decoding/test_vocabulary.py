import json

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from viggo_pipe.core.errors import InputError
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.decoding.vocabulary import Vocabulary

LACKING = "\x13"


@pytest.fixture(scope="module")
def lacking(tiny_parts):
    """A tokenizer without a token for a control character, as SmolLM2's."""
    states = json.loads(tiny_parts[1].backend_tokenizer.to_str())
    vocabulary = states["model"]["vocab"]
    vocabulary["never written"] = vocabulary.pop(chr(256 + ord(LACKING)))
    core = Tokenizer.from_str(json.dumps(states))
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")


def test_a_character_without_tokens_becomes_a_space(tiny_parts, lacking):
    text = f"Portal{LACKING}Knights Æ \U0001f3ae"
    assert Vocabulary(tiny_parts[1]).writable(text) == text
    assert Vocabulary(lacking).writable(text) == text.replace(LACKING, " ")


def test_what_the_tokenizer_cannot_write_is_in_no_answer(lacking):
    """An answer that copied what stands before such a character would come to a dead end."""
    names = KnownNames([f"inform(name[Sonic the{LACKING}Hedgehog])", "inform(name[Sonic Mania])"])
    constraint = Constraint(lacking, names)
    sentences = ["Sonik Mania is good.", "Sonik the Hedgehog is good."]
    answers = ["inform(name[Sonic Mania])", "inform(name[Sonic the Hedgehog])"]
    assert constraint.refused(sentences, answers) == [1]
    sentence = f"Portal{LACKING}Knights {LACKING} is good."
    answers = [
        f"inform(name[{name}])" for name in ("Portal Knights", "Knights   is", "PortalKnights", "Portal ")
    ]
    assert constraint.refused([sentence] * 4, answers) == [2, 3]


class Shouting(PreTrainedTokenizerFast):
    def __call__(self, text, **options):
        return super().__call__(text.upper(), **options)


def test_a_tokenizer_that_would_be_misread_is_refused(tiny_parts):
    tokenizer = Shouting(tokenizer_object=tiny_parts[1].backend_tokenizer, eos_token="</s>")
    with pytest.raises(InputError, match=r"generate\.constrain: llguidance misreads .* set it to false"):
        Vocabulary(tokenizer)


def test_a_tokenizer_that_llguidance_cannot_read_is_refused():
    core = Tokenizer(models.WordPiece({"[UNK]": 0, "</s>": 1, "a": 2}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", eos_token="</s>")
    with pytest.raises(InputError, match=r"generate\.constrain: llguidance cannot read .* set it to false"):
        Vocabulary(tokenizer)
