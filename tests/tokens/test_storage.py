"""Tokens travel as Parquet, the same bytes each time, and are read from a memory-mapped Arrow file."""

import contextlib
import errno
import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.tokens import storage
from viggo_pipe.tokens.storage import open_tokens, rows_in_memory, unpack_tokens, write_tokens
from viggo_pipe.tokens.tokenize import SCHEMA

PROMPT = PromptSettings(template="{sentence}\n", reverse="{meaning_representation}\n")
EXAMPLES = [
    {"input_ids": list(range(2 + number % 5)), "answer_start": 1 + number % 2} for number in range(20)
]


def tables():
    """Every third row is a reverse row."""
    for start in range(0, len(EXAMPLES), 8):
        rows = [
            {"id": str(number), **EXAMPLES[number], "reverse": number % 3 == 2}
            for number in range(start, min(start + 8, len(EXAMPLES)))
        ]
        yield pa.Table.from_pylist(rows, schema=SCHEMA)


class _Killed(BaseException):
    """What nothing catches."""


def _killed(*given):
    raise _Killed


@pytest.fixture
def parquet(tmp_path):
    with open(tmp_path / "train.parquet", "wb") as file:
        write_tokens(tables(), PROMPT, file)
    return tmp_path / "train.parquet"


def directions(rows, reverse_rows):
    return list(rows), list(reverse_rows)


FORTH_AND_BACK = (
    [example for number, example in enumerate(EXAMPLES) if number % 3 != 2],
    [example for number, example in enumerate(EXAMPLES) if number % 3 == 2],
)


def test_what_is_written_is_read_in_order_with_its_prompt(parquet, tmp_path):
    found = open_tokens(unpack_tokens(parquet, tmp_path))
    assert directions(found.rows, found.reverse_rows) == FORTH_AND_BACK
    assert found.prompt == PROMPT


def test_rows_in_memory_are_those_of_a_file():
    assert directions(*rows_in_memory(tables())) == FORTH_AND_BACK


def test_parquet_is_the_same_bytes_and_holds_the_prompt_alone_beside_the_rows(parquet, tmp_path):
    with open(tmp_path / "again", "wb") as file:
        write_tokens(tables(), PROMPT, file)
    assert (tmp_path / "again").read_bytes() == parquet.read_bytes()
    assert pq.read_schema(parquet).metadata == {b"viggo_prompt": PROMPT.model_dump_json().encode()}
    assert pq.ParquetFile(parquet).num_row_groups == 3


def test_ids_stay_on_disk(parquet, tmp_path):
    before = pa.total_allocated_bytes()
    arrow = unpack_tokens(parquet, tmp_path / "scratch")
    rows = open_tokens(arrow).rows
    (file,) = rows.table.cache_files
    assert file["filename"] == str(arrow)
    assert pa.total_allocated_bytes() - before < 4096
    assert rows[0] == EXAMPLES[0]


@pytest.mark.parametrize("change", [lambda content: content[:-9], lambda content: content[:400] + b"?" * 9])
def test_what_a_killed_run_unpacked_is_not_trusted(parquet, tmp_path, change):
    arrow = unpack_tokens(parquet, tmp_path / "scratch")
    whole = arrow.read_bytes()
    arrow.write_bytes(change(whole))
    assert unpack_tokens(parquet, tmp_path / "scratch").read_bytes() == whole
    assert [path.name for path in arrow.parent.iterdir()] == ["train.arrow"]


def test_a_flipped_bit_of_a_token_file_is_found(parquet, tmp_path):
    whole = bytearray(parquet.read_bytes())
    expected = directions(*open_tokens(unpack_tokens(parquet, tmp_path / "whole"))[:2])
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        parquet.write_bytes(damaged)
        try:
            found = open_tokens(unpack_tokens(parquet, tmp_path / str(place)))
        except InputError as error:
            assert "train.parquet" in str(error)
        else:  # in what nobody reads: ids of rows, statistics, the version of the writer
            assert directions(found.rows, found.reverse_rows) == expected


def test_a_kill_while_unpacking_leaves_nothing_that_is_taken_for_whole(parquet, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    with monkeypatch.context() as patch:
        patch.setattr("viggo_pipe.core.files.os.replace", _killed)
        with pytest.raises(_Killed):
            unpack_tokens(parquet, scratch)
    assert not (scratch / "train.arrow").exists()
    found = open_tokens(unpack_tokens(parquet, scratch))
    assert directions(found.rows, found.reverse_rows) == FORTH_AND_BACK


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_a_damaged_token_file_is_named(tmp_path, content):
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read .*train\.parquet \(.*\); run `dvc repro tokenize`"):
        unpack_tokens(tmp_path / "train.parquet", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


def test_a_missing_or_cut_or_strange_file_is_named(parquet, tmp_path):
    parquet.write_bytes(parquet.read_bytes()[:-20])
    pq.write_table(pa.table({"a": [1]}), tmp_path / "strange.parquet")
    for name in ("missing", "train", "strange"):
        with pytest.raises(InputError, match=rf"cannot read .*{name}\.parquet"):
            unpack_tokens(tmp_path / f"{name}.parquet", tmp_path)


def test_a_full_quota_is_not_blamed_on_the_token_file(parquet, tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(storage, "atomic_write", lambda path, mode: contextlib.nullcontext(Full()))
    with pytest.raises(OSError, match="Disk quota exceeded"):
        unpack_tokens(parquet, tmp_path / "scratch")
