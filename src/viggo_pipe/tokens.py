"""Rows to token ids, in Parquet, and their statistics."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from viggo_pipe.errors import InputError
from viggo_pipe.files import atomic_write
from viggo_pipe.prompt import Example, PromptEncoder
from viggo_pipe.settings.prompt import PromptSettings
from viggo_pipe.settings.tokenize import TokenizeSettings

_SCHEMA = pa.schema({"id": pa.string(), "input_ids": pa.list_(pa.int32()), "answer_start": pa.int32()})
_BIN = 8  # tokens a bin of the histogram
_PROMPT_KEY = b"viggo_prompt"


@dataclass(frozen=True)
class TokenizedSplit:
    """A split's rows after `overflow` was applied; before it, how many tokens each had, and what that amounts to.

    `statistics` stands in metrics/tokens.json.
    """

    ids: list[str]
    examples: list[Example]
    lengths: list[int]
    statistics: dict[str, float | int]


def tokenize_rows(rows: Iterable[dict], encoder: PromptEncoder, settings: TokenizeSettings, split: str) -> TokenizedSplit:
    """Tokenize `rows` ({"id", "sentence", "meaning_representation"}) and deal with those over `max_length` tokens.

    Lengths are counted before a row is dropped or truncated. `truncated_rows` were over max_length and cut;
    `target_truncated_rows` lost a part of their answer by it, `target_lost_rows` the whole; `padding_share` is the share of
    padding where each kept row is padded to max_length.

    Raises:
        InputError: a row is over max_length under overflow=error, or no row is left under overflow=drop.
    """
    ids, examples, lengths, cut, lost = [], [], [], 0, 0
    for row in rows:
        example = encoder.example(row["sentence"], row["meaning_representation"])
        length = len(example["input_ids"])
        lengths.append(length)
        if length > settings.max_length:
            if settings.overflow == "error":
                raise InputError(
                    f"{split}: row {row['id']} is {length} tokens long, over tokenize.max_length {settings.max_length}; "
                    "raise it, or set tokenize.overflow to drop or truncate"
                )
            if settings.overflow == "drop":
                continue
            cut += 1
            lost += example["answer_start"] >= settings.max_length
            example["input_ids"] = example["input_ids"][: settings.max_length]
        ids.append(row["id"])
        examples.append(example)
    if not examples:
        raise InputError(f"{split}: none of {len(lengths)} rows fits tokenize.max_length {settings.max_length}; raise it")
    kept_tokens = sum(len(example["input_ids"]) for example in examples)
    figures = {
        "rows": len(lengths),
        "kept_rows": len(examples),
        "mean_tokens": round(statistics.fmean(lengths), 2),
        "median_tokens": statistics.median(lengths),
        "p99_tokens": _nearest_rank(lengths, 0.99),
        "max_tokens": max(lengths),
        "dropped_rows": len(lengths) - len(examples),
        "truncated_rows": cut,
        # The answer stands at a row's end, so that a cut row has always lost a part of it.
        "target_truncated_rows": cut,
        "target_lost_rows": lost,
        "padding_share": round(1 - kept_tokens / (len(examples) * settings.max_length), 4),
    }
    return TokenizedSplit(ids, examples, lengths, figures)


def length_histogram(splits: Mapping[str, TokenizedSplit], max_length: int) -> Iterator[dict[str, str | int]]:
    """Yield the bins of plots/token_lengths.csv: `rows` of `split` have `tokens` or up to 7 fewer tokens.

    All splits have the same bins, empty ones too; `max_length` stands in each, for the plot to mark.
    """
    last = max(-(-max(split.lengths) // _BIN) for split in splits.values())
    for name, split in splits.items():
        counts = Counter(-(-length // _BIN) for length in split.lengths)
        for number in range(1, last + 1):
            yield {"split": name, "tokens": number * _BIN, "rows": counts[number], "max_length": max_length}


def write_tokens(split: TokenizedSplit, prompt: PromptSettings, path: str | Path) -> None:
    """Write columns `id`, `input_ids` (int32 list) and `answer_start` (int32); the same rows give the same bytes.

    The file's metadata holds the prompt, which the trained adapter takes along.
    """
    columns = {
        "id": split.ids,
        "input_ids": [example["input_ids"] for example in split.examples],
        "answer_start": [example["answer_start"] for example in split.examples],
    }
    with atomic_write(path, "wb") as file:
        schema = _SCHEMA.with_metadata({_PROMPT_KEY: prompt.model_dump_json()})
        pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")


def read_tokens(path: str | Path) -> tuple[list[Example], PromptSettings]:
    """Read the rows that `write_tokens` wrote, in order, and the prompt that they were made with.

    Raises:
        InputError: the file is missing or is not such a file.
    """
    try:
        table = pq.read_table(path, columns=["input_ids", "answer_start"])
        prompt = PromptSettings.model_validate_json(table.schema.metadata[_PROMPT_KEY])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"cannot read {path} ({' '.join(str(error).split())}); run `dvc repro tokenize`, or `dvc pull`"
        ) from error
    return table.to_pylist(), prompt


def _nearest_rank(values: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
