"""Tokenized splits on disk: Parquet between the stages, and Arrow for training, which is memory-mapped."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.core.files import atomic_write
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.tokenize import SCHEMA

_PROMPT_KEY = b"viggo_prompt"
_READ = ["input_ids", "answer_start", "reverse"]  # columns


class Tokens(NamedTuple):
    """A tokenized split, as training reads it: the rows of either direction, and the prompts that they were
    made with.
    """

    rows: TokenRows
    reverse_rows: TokenRows
    prompt: PromptSettings


def write_tokens(tables: Iterable[pa.Table], prompt: PromptSettings, file: IO[bytes]) -> None:
    """Write `tables` with columns `id`, `input_ids` (int32 list), `answer_start` (int32) and `reverse` to
    `file`, open for bytes, as Parquet.

    Each is a row group, written as it is taken; the same ones give the same bytes. The metadata holds the
    prompt, which the trained adapter takes along, and nothing else.
    """
    schema = SCHEMA.with_metadata({_PROMPT_KEY: prompt.model_dump_json()})
    with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table.combine_chunks().cast(schema))


def unpack_tokens(path: str | Path, folder: Path) -> Path:
    """Write what `write_tokens` wrote, but for the ids of rows, to an Arrow file in `folder`, and return it.

    Parquet is compressed and cannot be memory-mapped. It has checksums, so it is unpacked anew each time:
    what a killed run left in `folder` may have been damaged since.

    Raises:
        InputError: `path` is missing or is not such a file, or the disk is full.
    """
    arrow = folder / f"{Path(path).stem}.arrow"
    with atomic_write(arrow, "wb") as file:
        _unpack(path, file)
    return arrow


def open_tokens(arrow: Path) -> Tokens:
    """Map what `unpack_tokens` wrote into memory: its rows, in order, are read as they are needed."""
    with pa.OSFile(str(arrow)) as file, pa.ipc.open_stream(file) as stream:
        prompt = _prompt(stream.schema)
    return Tokens(*_directions(Dataset.from_file(str(arrow))), prompt)


def rows_in_memory(tables: Iterable[pa.Table]) -> tuple[TokenRows, TokenRows]:
    """The rows of `tables`, as `write_tokens` takes them, of either direction, without a file."""
    return _directions(Dataset(pa.concat_tables(tables), fingerprint="in-memory"))


def _directions(table: Dataset) -> tuple[TokenRows, TokenRows]:
    reverse = table.data.table["reverse"].to_numpy()
    examples = table.select_columns(["input_ids", "answer_start"])
    return TokenRows(examples, np.flatnonzero(~reverse)), TokenRows(examples, np.flatnonzero(reverse))


def _unpack(path: str | Path, file: IO[bytes]) -> None:
    with _explaining(path):
        parquet = pq.ParquetFile(path, page_checksum_verification=True)
        schema = pa.schema([SCHEMA.field(name) for name in _READ], parquet.schema_arrow.metadata)
        _prompt(schema)
    with parquet, pa.ipc.new_stream(file, schema) as writer:
        for group in range(parquet.num_row_groups):
            with _explaining(path):
                table = parquet.read_row_group(group, columns=_READ).combine_chunks().cast(schema)
            writer.write_table(table)  # where a full disk is another matter


@contextmanager
def _explaining(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"cannot read {path} ({one_line(error)}); run `dvc repro tokenize`, or `dvc pull`"
        ) from error


def _prompt(schema: pa.Schema) -> PromptSettings:
    return PromptSettings.model_validate_json(schema.metadata[_PROMPT_KEY])
