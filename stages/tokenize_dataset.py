"""Stage tokenize: the training and validation rows as token ids, and how long they are.

python stages/tokenize_dataset.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
import viggo_pipe.core.entry_point  # noqa: F401, I001 (before the imports that take seconds)
from contextlib import ExitStack

from viggo_pipe.augment.augmentation import augmented
from viggo_pipe.models.base_model import find_base_model
from viggo_pipe.core.metrics_io import write_metrics, write_plot
from viggo_pipe.core.files import atomic_write
from viggo_pipe.core.jsonl import ROW_FIELDS, read_jsonl
from viggo_pipe.config.load import load_params
from viggo_pipe.tokens.prompt import PromptEncoder
from viggo_pipe.core.stage import run_stage
from viggo_pipe.models.tokenizer import load_tokenizer
from viggo_pipe.tokens.statistics import length_histogram
from viggo_pipe.tokens.storage import write_tokens
from viggo_pipe.tokens.tokenize import TokenizedSplit


def main() -> None:
    params = load_params("model", "prompt", "augment", "tokenize")
    encoder = PromptEncoder(load_tokenizer(find_base_model(params.model, weights=False)), params.prompt)
    rows = {split: read_jsonl(f"data/raw/{split}.jsonl", ROW_FIELDS) for split in ("train", "validation")}
    rows["train"] = augmented(rows["train"], params.augment)
    splits = {split: TokenizedSplit(some, encoder, params.tokenize, split) for split, some in rows.items()}
    with ExitStack() as outs:  # neither appears before both are whole
        for split, tokenized in splits.items():
            write_tokens(
                tokenized,
                params.prompt,
                outs.enter_context(atomic_write(f"data/tokenized/{split}.parquet", "wb")),
            )
    longest = params.tokenize.max_length
    figures = {split: tokenized.statistics.figures(longest) for split, tokenized in splits.items()}
    for split, its in figures.items():
        print(
            f"data/tokenized/{split}.parquet: {its['kept_rows']:,} of {its['rows']:,} rows, "
            f"{its['mean_tokens']} tokens on average, at most {its['max_tokens']}; "
            f"{its['truncated_rows']} truncated"
        )
    statistics = {split: tokenized.statistics for split, tokenized in splits.items()}
    write_plot("plots/token_lengths.csv", length_histogram(statistics, longest))
    write_metrics("metrics/tokens.json", figures)


if __name__ == "__main__":
    sys.exit(run_stage("tokenize", main))
