"""Rows to token ids, in Parquet, and their statistics."""

import statistics
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from viggo_pipe.errors import InputError
from viggo_pipe.prompt import Example, PromptEncoder
from viggo_pipe.settings.prompt import PromptSettings
from viggo_pipe.settings.tokenize import TokenizeSettings

_SCHEMA = pa.schema({"id": pa.string(), "input_ids": pa.list_(pa.int32()), "answer_start": pa.int32(), "reverse": pa.bool_()})
_BIN = 8  # tokens a bin of the histogram
_PROMPT_KEY = b"viggo_prompt"
_ROW_GROUP = 2**14  # rows
_PROMPTS = {False: "", True: " with prompt.reverse"}  # in errors, by direction


class TokenizedRow(NamedTuple):
    """A row of a tokenized split; `reverse`: its answer is the sentence."""

    id: str
    example: Example
    reverse: bool


class Tokens(NamedTuple):
    """A tokenized split, as it is read: the rows of either direction, and the prompts that they were made with."""

    rows: list[Example]
    reverse_rows: list[Example]
    prompt: PromptSettings


class TokenizedSplit:
    """A split's rows as token ids, made as they are taken; afterwards, how many tokens each had.

    Iterating yields the `TokenizedRow`s that `overflow` leaves, and can be done once. Where the encoder has a `reverse` prompt,
    each row is followed by itself in the other direction, and counted as two. Lengths are counted before a row is dropped or
    truncated.

    Args:
        rows: {"id", "sentence", "meaning_representation"}.
        split: what to call them in an error.

    Raises:
        InputError: while rows are taken: one is over max_length under overflow=error, or none is left of a direction under
            overflow=drop.
    """

    def __init__(self, rows: Iterable[dict], encoder: PromptEncoder, settings: TokenizeSettings, split: str):
        self.lengths = array("I")
        self._rows, self._encoder, self._settings, self._split = rows, encoder, settings, split
        self._kept_tokens = self._cut = self._lost = 0
        self._kept = {False: 0, True: 0}  # by direction

    def __iter__(self) -> Iterator[TokenizedRow]:
        longest = self._settings.max_length
        for tokenized in self._encoded():
            identifier, example, reverse = tokenized
            length = len(example["input_ids"])
            self.lengths.append(length)
            if length > longest:
                if self._settings.overflow == "error":
                    raise InputError(
                        f"{self._split}: row {identifier} is {length} tokens long{_PROMPTS[reverse]}, over tokenize.max_length "
                        f"{longest}; raise it, or set tokenize.overflow to drop or truncate"
                    )
                if self._settings.overflow == "drop":
                    continue
                self._cut += 1
                self._lost += example["answer_start"] >= longest
                example["input_ids"] = example["input_ids"][:longest]
            self._kept[reverse] += 1
            self._kept_tokens += len(example["input_ids"])
            yield tokenized
        for reverse in (False, True) if self._encoder.has_reverse else (False,):
            if not self._kept[reverse]:
                rows = f"{len(self.lengths)} rows{_PROMPTS[reverse]}"
                raise InputError(f"{self._split}: none of {rows} fits tokenize.max_length {longest}; raise it")

    def _encoded(self) -> Iterator[TokenizedRow]:
        for row in self._rows:
            pair = row["sentence"], row["meaning_representation"]
            yield TokenizedRow(row["id"], self._encoder.example(*pair), False)
            if self._encoder.has_reverse:
                yield TokenizedRow(row["id"], self._encoder.reverse_example(*pair), True)

    def statistics(self) -> dict[str, float | int]:
        """What stands in metrics/tokens.json, once all rows have been taken.

        `truncated_rows` were over max_length and cut; `target_truncated_rows` lost a part of their answer by it,
        `target_lost_rows` the whole; `padding_share` is the share of padding where each kept row is padded to max_length.
        """
        kept = sum(self._kept.values())
        return {
            "rows": len(self.lengths),
            "kept_rows": kept,
            "mean_tokens": round(statistics.fmean(self.lengths), 2),
            "median_tokens": statistics.median(self.lengths),
            "p99_tokens": _nearest_rank(self.lengths, 0.99),
            "max_tokens": max(self.lengths),
            "dropped_rows": len(self.lengths) - kept,
            "truncated_rows": self._cut,
            # The answer stands at a row's end, so that a cut row has always lost a part of it.
            "target_truncated_rows": self._cut,
            "target_lost_rows": self._lost,
            "padding_share": round(1 - self._kept_tokens / (kept * self._settings.max_length), 4),
        }


def length_histogram(splits: Mapping[str, TokenizedSplit], max_length: int) -> Iterator[dict[str, str | int]]:
    """Yield the bins of plots/token_lengths.csv: `rows` of `split` have `tokens` or up to 7 fewer tokens.

    All splits have the same bins, empty ones too; `max_length` stands in each, for the plot to mark.
    """
    last = max(-(-max(split.lengths) // _BIN) for split in splits.values())
    for name, split in splits.items():
        counts = Counter(-(-length // _BIN) for length in split.lengths)
        for number in range(1, last + 1):
            yield {"split": name, "tokens": number * _BIN, "rows": counts[number], "max_length": max_length}


def write_tokens(rows: Iterable[TokenizedRow], prompt: PromptSettings, file: IO[bytes]) -> None:
    """Write columns `id`, `input_ids` (int32 list), `answer_start` (int32) and `reverse` to `file`, open for bytes, as Parquet.

    `rows` are taken, and written, some thousands at a time; the same ones give the same bytes. The metadata holds the prompt,
    which the trained adapter takes along.
    """
    schema, rows = _SCHEMA.with_metadata({_PROMPT_KEY: prompt.model_dump_json()}), iter(rows)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(rows, _ROW_GROUP)):
            columns = {
                "id": [row.id for row in group],
                "input_ids": [row.example["input_ids"] for row in group],
                "answer_start": [row.example["answer_start"] for row in group],
                "reverse": [row.reverse for row in group],
            }
            writer.write_table(pa.table(columns, schema=schema))


def read_tokens(path: str | Path) -> Tokens:
    """Read what `write_tokens` wrote, in order.

    Raises:
        InputError: the file is missing or is not such a file.
    """
    try:
        table = pq.read_table(path, columns=["input_ids", "answer_start", "reverse"])
        prompt = PromptSettings.model_validate_json(table.schema.metadata[_PROMPT_KEY])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"cannot read {path} ({' '.join(str(error).split())}); run `dvc repro tokenize`, or `dvc pull`"
        ) from error
    is_reverse = table["reverse"]
    examples = table.drop_columns("reverse")
    return Tokens(examples.filter(compute.invert(is_reverse)).to_pylist(), examples.filter(is_reverse).to_pylist(), prompt)


def _nearest_rank(values: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
