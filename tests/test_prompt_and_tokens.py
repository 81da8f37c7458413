import pytest
from tiny_model import write_tiny_mistral
from transformers import AutoTokenizer

from viggo_pipe import tokens
from viggo_pipe.base_model import BaseModel
from viggo_pipe.errors import InputError
from viggo_pipe.prompt import PromptEncoder
from viggo_pipe.settings.prompt import PromptSettings
from viggo_pipe.settings.tokenize import TokenizeSettings
from viggo_pipe.tokenizer import load_tokenizer
from viggo_pipe.tokens import TokenizedSplit, read_tokens, write_tokens

PROMPT = PromptSettings(template="Sentence: {sentence}\nMeaning representation:\n", reverse=None)
SENTENCE, MEANING = "Do you mean Amber Anvil?", "confirm(name[Amber Anvil])"
ROWS = [
    {"id": "a", "sentence": SENTENCE, "meaning_representation": MEANING},
    {"id": "b", "sentence": "You mean Amber Anvil, " + "the game " * 60 + "right?", "meaning_representation": MEANING},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_mistral(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(BaseModel(folder, "tiny", None))


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return PromptEncoder(tokenizer, PROMPT)


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


def test_the_other_direction_answers_with_the_sentence(tokenizer):
    encoder = PromptEncoder(tokenizer, PROMPT.model_copy(update={"reverse": "Say {meaning_representation}:\n"}))
    forth, back = encoder.example(SENTENCE, MEANING), encoder.reverse_example(SENTENCE, MEANING)
    assert forth == PromptEncoder(tokenizer, PROMPT).example(SENTENCE, MEANING)
    ids, start = back["input_ids"], back["answer_start"]
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    assert encoder.decode(ids[1:start]) == f"Say {MEANING}:"
    assert encoder.decode(ids[start:]) == SENTENCE


@pytest.mark.parametrize("reverse", [None, "Say {meaning_representation}:\n"])
def test_rows_are_tokenized_in_both_directions_where_there_is_a_prompt_of_each(tokenizer, reverse, tmp_path):
    encoder = PromptEncoder(tokenizer, PROMPT.model_copy(update={"reverse": reverse}))
    settings = TokenizeSettings(max_length=400, overflow="error")
    split = TokenizedSplit(ROWS, encoder, settings, "train")
    with open(tmp_path / "train.parquet", "wb") as file:
        write_tokens(split, PROMPT, file)
    pairs = [(row["sentence"], row["meaning_representation"]) for row in ROWS]
    found = read_tokens(tmp_path / "train.parquet")
    assert found.rows == [encoder.example(*pair) for pair in pairs]
    assert found.reverse_rows == [encoder.reverse_example(*pair) for pair in pairs if reverse]
    assert split.statistics()["rows"] == len(found.rows) + len(found.reverse_rows)


def test_special_tokens_in_a_sentence_are_text(tokenizer, encoder):
    ids = encoder.prompt("What does </s> mean, <s>?")
    assert tokenizer.eos_token_id not in ids and ids.count(tokenizer.bos_token_id) == 1
    assert "</s>" in tokenizer.decode(ids)


def test_decode_takes_the_first_line(tokenizer, encoder):
    assert encoder.decode(tokenizer("one \n two", add_special_tokens=False)["input_ids"]) == "one"
    assert encoder.decode([]) == ""


def test_overflow_error_names_the_row(encoder):
    with pytest.raises(InputError, match=r"train: row b is \d+ tokens.*max_length 100"):
        list(TokenizedSplit(ROWS, encoder, TokenizeSettings(max_length=100, overflow="error"), "train"))


def test_overflow_drop_leaves_the_row_out(encoder):
    split = TokenizedSplit(ROWS, encoder, TokenizeSettings(max_length=100, overflow="drop"), "train")
    assert [row.id for row in split] == ["a"]
    figures = split.statistics()
    assert (figures["rows"], figures["kept_rows"], figures["dropped_rows"]) == (2, 1, 1)


def test_overflow_drop_of_everything_is_an_error(encoder):
    with pytest.raises(InputError, match="none of 2 rows"):
        list(TokenizedSplit(ROWS, encoder, TokenizeSettings(max_length=5, overflow="drop"), "train"))


def test_no_direction_is_left_without_rows(tokenizer):
    encoder = PromptEncoder(tokenizer, PROMPT.model_copy(update={"reverse": "long " * 200 + "{meaning_representation}"}))
    with pytest.raises(InputError, match=r"none of 4 rows with prompt\.reverse fits tokenize\.max_length 400"):
        list(TokenizedSplit(ROWS, encoder, TokenizeSettings(max_length=400, overflow="drop"), "train"))
    with pytest.raises(InputError, match=r"row a is \d+ tokens long with prompt\.reverse"):
        list(TokenizedSplit(ROWS, encoder, TokenizeSettings(max_length=400, overflow="error"), "train"))


def test_overflow_truncate_counts_what_is_lost(encoder):
    split = TokenizedSplit(ROWS, encoder, TokenizeSettings(max_length=100, overflow="truncate"), "train")
    examples, figures = [row.example for row in split], split.statistics()
    assert len(examples[1]["input_ids"]) == 100
    assert figures["truncated_rows"] == figures["target_truncated_rows"] == figures["target_lost_rows"] == 1
    assert figures["max_tokens"] > 100 > figures["median_tokens"] / 2
    assert figures["padding_share"] == round(1 - (len(examples[0]["input_ids"]) + 100) / 200, 4)


def test_parquet_round_trips_with_the_prompt_and_the_same_bytes(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "_ROW_GROUP", 1)  # so that there are several
    rows = list(TokenizedSplit(ROWS, encoder, TokenizeSettings(max_length=400, overflow="error"), "train"))
    for name in ("one", "two"):
        with open(tmp_path / name, "wb") as file:
            write_tokens(rows, PROMPT, file)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_tokens(tmp_path / "one") == ([row.example for row in rows], [], PROMPT)


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_a_damaged_token_file_is_named(tmp_path, content):
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"train\.parquet"):
        read_tokens(tmp_path / "train.parquet")
