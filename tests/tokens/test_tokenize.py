"""A split is tokenized as it streams by: nothing of it is cached, and `overflow` decides about long rows."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest
from helpers.imports import ROOT

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.config.settings.tokenize import TokenizeSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.tokens import tokenize
from viggo_pipe.tokens.prompt import PromptEncoder
from viggo_pipe.tokens.tokenize import SCHEMA, TokenizedSplit

PROMPT = PromptSettings(template="Sentence: {sentence}\nMeaning representation:\n", reverse=None)
SENTENCE, MEANING = "Do you mean Amber Anvil?", "confirm(name[Amber Anvil])"
ROWS = [
    {"id": "a", "sentence": SENTENCE, "meaning_representation": MEANING},
    {
        "id": "b",
        "sentence": "You mean Amber Anvil, " + "the game " * 60 + "right?",
        "meaning_representation": MEANING,
    },
]


@pytest.fixture(scope="module")
def tokenizer(tiny_parts):
    return tiny_parts[1]


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return PromptEncoder(tokenizer, PROMPT)


def split_of(encoder, max_length, overflow, rows=ROWS):
    settings = TokenizeSettings(max_length=max_length, overflow=overflow)
    return TokenizedSplit(iter(rows), encoder, settings, "train")


def rows_of(split):
    return pa.concat_tables(split).to_pylist()


@pytest.mark.parametrize("reverse", [None, "Say {meaning_representation}:\n"])
@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_rows_are_those_that_are_encoded_one_by_one(tokenizer, monkeypatch, batch, reverse):
    """In order, whatever the batches and tables; in both directions where there is a prompt of each."""
    monkeypatch.setattr(tokenize, "_BATCH", batch)
    monkeypatch.setattr(tokenize, "_TABLE", 4)
    encoder = PromptEncoder(tokenizer, PROMPT.model_copy(update={"reverse": reverse}))
    rows = [{**row, "id": f"{row['id']}{number}"} for number in range(5) for row in ROWS]
    expected = []
    for row in rows:
        texts = row["sentence"], row["meaning_representation"]
        expected.append({"id": row["id"], **encoder.example(*texts), "reverse": False})
        if reverse:
            expected.append({"id": row["id"], **encoder.reverse_example(*texts), "reverse": True})
    split = split_of(encoder, 400, "error", rows)
    tables = list(split)
    assert all(table.schema == SCHEMA for table in tables)
    whole = 8 if reverse else 4
    assert [len(table) for table in tables[:-1]] == [whole] * (len(tables) - 1)
    assert 0 < len(tables[-1]) <= whole
    assert rows_of(tables) == expected
    assert split.statistics.figures(400)["rows"] == len(expected)


def test_rows_are_taken_as_they_are_needed(encoder, monkeypatch):
    monkeypatch.setattr(tokenize, "_BATCH", 2)
    monkeypatch.setattr(tokenize, "_TABLE", 2)
    taken = []

    def endless():
        while True:
            taken.append(ROWS[0])
            yield ROWS[0]

    tables = iter(split_of(encoder, 400, "error", endless()))
    assert len(next(tables)) == 2 and len(taken) <= 8


def test_an_error_amid_the_rows_keeps_its_words(encoder):
    def rows():
        yield ROWS[0]
        raise InputError("train.jsonl, line 2: not JSON")

    with pytest.raises(InputError, match=r"^train\.jsonl, line 2: not JSON$"):
        list(split_of(encoder, 400, "error", rows()))


def test_overflow_error_names_the_row(encoder):
    with pytest.raises(
        InputError, match=r"^train: row b is \d+ tokens long, over tokenize\.max_length 100; "
    ):
        list(split_of(encoder, 100, "error"))


def test_overflow_drop_leaves_the_row_out(encoder):
    split = split_of(encoder, 100, "drop")
    assert [row["id"] for row in rows_of(split)] == ["a"]
    figures = split.statistics.figures(100)
    assert (figures["rows"], figures["kept_rows"], figures["dropped_rows"]) == (2, 1, 1)


def test_overflow_drop_of_everything_is_an_error(encoder):
    with pytest.raises(InputError, match="none of 2 rows"):
        list(split_of(encoder, 5, "drop"))


def test_no_direction_is_left_without_rows(tokenizer):
    encoder = PromptEncoder(
        tokenizer, PROMPT.model_copy(update={"reverse": "long " * 200 + "{meaning_representation}"})
    )
    with pytest.raises(
        InputError, match=r"none of 4 rows with prompt\.reverse fits tokenize\.max_length 400"
    ):
        list(split_of(encoder, 400, "drop"))
    with pytest.raises(InputError, match=r"row a is \d+ tokens long with prompt\.reverse"):
        list(split_of(encoder, 400, "error"))


def test_overflow_truncate_counts_what_is_lost(encoder):
    split = split_of(encoder, 100, "truncate")
    rows, figures = rows_of(split), split.statistics.figures(100)
    assert len(rows[1]["input_ids"]) == 100
    assert figures["truncated_rows"] == figures["target_truncated_rows"] == figures["target_lost_rows"] == 1
    assert figures["max_tokens"] > 100 > figures["median_tokens"] / 2
    assert figures["padding_share"] == round(1 - (len(rows[0]["input_ids"]) + 100) / 200, 4)


_STAGES = """
import runpy, sys
for script in ("fetch_dataset.py", "tokenize_dataset.py"):
    sys.argv = [script]
    try:
        runpy.run_path(f"stages/{script}", run_name="__main__")
    except SystemExit as exit_:
        assert exit_.code == 0, script
"""


@pytest.mark.slow
def test_the_stage_leaves_nothing_in_caches_and_gives_the_same_bytes(tmp_path, monkeypatch):
    """Nor does the number of the tokenizer's threads matter, or the order of Python's sets."""
    from helpers.project import tokenized_project

    project = tokenized_project(
        tmp_path,
        monkeypatch,
        prompt={"reverse": "{meaning_representation}\n"},
        dataset={"sample": {"train": 40, "validation": 4, "test": 6, "seed": 0}},
    )
    outs = ("data/tokenized/train.parquet", "data/tokenized/validation.parquet", "metrics/tokens.json")
    expected, home = project.contents(outs), tmp_path / "home"
    home.mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"),
        "HF_HOME": str(home / "huggingface"),
        "TMPDIR": str(home),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "7",
    }
    subprocess.run([sys.executable, "-c", _STAGES], cwd=project.folder, env=environment, check=True)
    assert project.contents(outs) == expected
    assert not [path for path in home.rglob("*") if path.is_file()]
    assert {path.name for path in (project.folder / "data/tokenized").iterdir()} == {
        "train.parquet",
        "validation.parquet",
    }
