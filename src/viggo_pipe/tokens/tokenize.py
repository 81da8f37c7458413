"""A split's rows as token ids, a table at a time: few rows are in memory."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
from datasets import Dataset, disable_progress_bars

from viggo_pipe.config.settings.tokenize import TokenizeSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.jsonl import ROW_FIELDS
from viggo_pipe.tokens.prompt import Example, PromptEncoder
from viggo_pipe.tokens.statistics import TokenStatistics

SCHEMA = pa.schema(
    {"id": pa.string(), "input_ids": pa.list_(pa.int32()), "answer_start": pa.int32(), "reverse": pa.bool_()}
)
_BATCH = 1000  # rows that are tokenized at once: larger batches were not faster
_TABLE = 2**14  # rows of a table, before it has reverse rows
_PROMPTS = {False: "", True: " with prompt.reverse"}  # in errors, by direction

disable_progress_bars()  # there would be one a table


class _Row(NamedTuple):
    """A tokenized row; `reverse`: its answer is the sentence."""

    id: str
    example: Example
    reverse: bool


class TokenizedSplit:
    """A split's rows as token ids, made as they are taken.

    Iterating yields tables with the columns of `SCHEMA`, one for 16,384 rows, and can be done once. They hold
    the rows that `overflow` leaves. Where the encoder has a `reverse` prompt, each row is followed by its
    reverse row, and counts as two.

    Args:
        rows: {"id", "sentence", "meaning_representation"}.
        split: what to call them in an error.

    Attributes:
        statistics: how many tokens the rows had that were taken so far.

    Raises:
        InputError: while rows are taken: one is over max_length under overflow=error, or none is left of a
            direction under overflow=drop.
    """

    def __init__(self, rows: Iterable[dict], encoder: PromptEncoder, settings: TokenizeSettings, split: str):
        self.statistics = TokenStatistics()
        self._rows, self._encoder, self._settings, self._split = rows, encoder, settings, split

    def __iter__(self) -> Iterator[pa.Table]:
        rows = iter(self._rows)
        while taken := list(islice(rows, _TABLE)):
            texts = Dataset.from_dict({name: [row[name] for row in taken] for name in ROW_FIELDS})
            # In memory and with a fingerprint of ours: nothing is hashed, or left in a cache.
            tokenized = texts.with_format("arrow").map(
                self._tokenize, batched=True, batch_size=_BATCH, keep_in_memory=True, new_fingerprint="tokens"
            )
            yield tokenized.data.table
        for reverse in (False, True) if self._encoder.has_reverse else (False,):
            if not self.statistics.kept[reverse]:
                rows = f"{self.statistics.lengths.total()} rows{_PROMPTS[reverse]}"
                raise InputError(
                    f"{self._split}: none of {rows} fits tokenize.max_length {self._settings.max_length}; "
                    "raise it"
                )

    def _tokenize(self, texts: pa.Table) -> pa.Table:
        ids, sentences, meanings = (texts[name].to_pylist() for name in ROW_FIELDS)
        rows = [row for row in self._encoded(ids, sentences, meanings) if self._keep(row)]
        columns = {
            "id": [row.id for row in rows],
            "input_ids": [row.example["input_ids"] for row in rows],
            "answer_start": [row.example["answer_start"] for row in rows],
            "reverse": [row.reverse for row in rows],
        }
        return pa.table(columns, schema=SCHEMA)

    def _encoded(self, ids: list[str], sentences: list[str], meanings: list[str]) -> Iterator[_Row]:
        examples = self._encoder.examples(sentences, meanings)
        if not self._encoder.has_reverse:
            for identifier, example in zip(ids, examples, strict=True):
                yield _Row(identifier, example, False)
            return
        reverse_examples = self._encoder.reverse_examples(sentences, meanings)
        for identifier, example, reverse_example in zip(ids, examples, reverse_examples, strict=True):
            yield _Row(identifier, example, False)
            yield _Row(identifier, reverse_example, True)

    def _keep(self, row: _Row) -> bool:
        """Count `row`, and cut it under overflow=truncate; whether it stays."""
        counts, longest = self.statistics, self._settings.max_length
        length = len(row.example["input_ids"])
        counts.lengths[length] += 1
        if length > longest:
            if self._settings.overflow == "error":
                raise InputError(
                    f"{self._split}: row {row.id} is {length} tokens long{_PROMPTS[row.reverse]}, over "
                    f"tokenize.max_length {longest}; raise it, or set tokenize.overflow to drop or truncate"
                )
            if self._settings.overflow == "drop":
                return False
            counts.truncated += 1
            counts.lost += row.example["answer_start"] >= longest
            row.example["input_ids"] = row.example["input_ids"][:longest]
        counts.kept[row.reverse] += 1
        counts.kept_tokens += min(length, longest)
        return True
