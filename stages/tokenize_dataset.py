"""Stage tokenize: the training and validation rows as token ids, and how long they are.

python stages/tokenize_dataset.py
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import sys
from contextlib import ExitStack

from viggo_pipe.augmentation import augmented
from viggo_pipe.base_model import find_base_model
from viggo_pipe.dvc_files import write_metrics, write_plot
from viggo_pipe.files import atomic_write
from viggo_pipe.jsonl import ROW_FIELDS, read_jsonl
from viggo_pipe.params import load_params
from viggo_pipe.prompt import PromptEncoder
from viggo_pipe.stage import run_stage
from viggo_pipe.tokenizer import load_tokenizer
from viggo_pipe.tokens import TokenizedSplit, length_histogram, write_tokens


def main() -> None:
    params = load_params("model", "prompt", "augment", "tokenize")
    encoder = PromptEncoder(load_tokenizer(find_base_model(params.model, weights=False)), params.prompt)
    rows = {split: read_jsonl(f"data/raw/{split}.jsonl", ROW_FIELDS) for split in ("train", "validation")}
    rows["train"] = augmented(rows["train"], params.augment)
    splits = {split: TokenizedSplit(some, encoder, params.tokenize, split) for split, some in rows.items()}
    with ExitStack() as outs:  # neither appears before both are whole
        for split, tokenized in splits.items():
            write_tokens(tokenized, params.prompt, outs.enter_context(atomic_write(f"data/tokenized/{split}.parquet", "wb")))
    for split, tokenized in splits.items():
        figures = tokenized.statistics()
        print(
            f"data/tokenized/{split}.parquet: {figures['kept_rows']:,} of {figures['rows']:,} rows, {figures['mean_tokens']} "
            f"tokens on average, at most {figures['max_tokens']}; {figures['truncated_rows']} truncated"
        )
    write_plot("plots/token_lengths.csv", length_histogram(splits, params.tokenize.max_length))
    write_metrics("metrics/tokens.json", {split: tokenized.statistics() for split, tokenized in splits.items()})


if __name__ == "__main__":
    sys.exit(run_stage("tokenize", main))
