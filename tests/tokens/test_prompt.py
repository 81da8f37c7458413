"""One function makes prompts and answers, for one row as for thousands, whatever a row's text holds."""

import pytest
from helpers.tiny_model import write_tiny_mistral
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.models.tokenizer import load_tokenizer
from viggo_pipe.tokens.prompt import PromptEncoder

PROMPT = PromptSettings(
    template="Sentence: {sentence}\nMeaning representation:\n", reverse="Say {meaning_representation}:\n"
)
SENTENCE, MEANING = "Do you mean Amber Anvil?", "confirm(name[Amber Anvil])"
TEXTS = st.lists(st.tuples(st.text(max_size=40), st.sampled_from([MEANING, "", "</s>", "a  b ", "é\u0301 "])))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_mistral(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(BaseCheckpoint(folder, "tiny", None))


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return PromptEncoder(tokenizer, PROMPT)


def ids_of(tokenizer, text):
    """Of one text, as transformers documents it."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def test_pad_is_not_eos_even_where_the_tokenizer_says_so(folder, tokenizer):
    assert AutoTokenizer.from_pretrained(folder).pad_token_id == tokenizer.eos_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.padding_side == "left"


def test_an_example_is_bos_prompt_answer_eos(tokenizer, encoder):
    example = encoder.example(SENTENCE, MEANING)
    ids, start = example["input_ids"], example["answer_start"]
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    assert ids.count(tokenizer.bos_token_id) == ids.count(tokenizer.eos_token_id) == 1
    assert ids[:start] == encoder.prompt(SENTENCE)
    assert encoder.decode(ids[start:]) == MEANING


def test_the_other_direction_answers_with_the_sentence(tokenizer, encoder):
    without = PromptEncoder(tokenizer, PROMPT.model_copy(update={"reverse": None}))
    assert encoder.has_reverse and not without.has_reverse
    assert encoder.example(SENTENCE, MEANING) == without.example(SENTENCE, MEANING)
    back = encoder.reverse_example(SENTENCE, MEANING)
    ids, start = back["input_ids"], back["answer_start"]
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    assert encoder.decode(ids[1:start]) == f"Say {MEANING}:"
    assert encoder.decode(ids[start:]) == SENTENCE


@settings(deadline=None, max_examples=50)
@given(rows=TEXTS)
def test_many_rows_at_once_get_the_ids_that_each_gets_alone(tokenizer, encoder, rows):
    bos, eos = [tokenizer.bos_token_id], [tokenizer.eos_token_id]
    sentences, meanings = [sentence for sentence, _ in rows], [meaning for _, meaning in rows]
    for found, prompts, answers in (
        (
            encoder.examples(sentences, meanings),
            [f"Sentence: {sentence}\nMeaning representation:\n" for sentence in sentences],
            meanings,
        ),
        (
            encoder.reverse_examples(sentences, meanings),
            [f"Say {meaning}:\n" for meaning in meanings],
            sentences,
        ),
    ):
        expected = []
        for prompt, answer in zip(prompts, answers, strict=True):
            before = bos + ids_of(tokenizer, prompt)
            ids = before + ids_of(tokenizer, answer) + eos
            expected.append({"input_ids": ids, "answer_start": len(before)})
        assert found == expected


def test_a_tokenizer_without_the_fast_backend_gives_the_same(tokenizer, encoder, monkeypatch):
    rows = [SENTENCE, "What does </s> mean, <s>?", ""], [MEANING, MEANING, "</s>"]
    expected = encoder.examples(*rows)
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    assert PromptEncoder(tokenizer, PROMPT).examples(*rows) == expected


def test_a_tokenizer_that_truncates_and_pads_by_its_file_does_neither(folder, encoder):
    tokenizer = load_tokenizer(BaseCheckpoint(folder, "tiny", None))
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=400)
    rows = [SENTENCE, SENTENCE + SENTENCE], [MEANING, MEANING]
    assert PromptEncoder(tokenizer, PROMPT).examples(*rows) == encoder.examples(*rows)


def test_special_tokens_in_a_sentence_are_text(tokenizer, encoder):
    ids = encoder.prompt("What does </s> mean, <s>?")
    assert tokenizer.eos_token_id not in ids and ids.count(tokenizer.bos_token_id) == 1
    assert "</s>" in tokenizer.decode(ids)


def test_decode_takes_the_first_line(tokenizer, encoder):
    assert encoder.decode(tokenizer("one \n two", add_special_tokens=False)["input_ids"]) == "one"
    assert encoder.decode([]) == ""
