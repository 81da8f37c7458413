"""Stages predict@base and predict@tuned: what the model answers to each sentence of a split.

python stages/predict.py tuned
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import argparse
import sys

from viggo_pipe.answering import answered
from viggo_pipe.jsonl import ROW_FIELDS, read_jsonl, write_jsonl
from viggo_pipe.params import load_params
from viggo_pipe.stage import run_stage

ADAPTER = "models/adapter"


def main(which: str) -> dict[str, float]:
    params = load_params("model", "quantize", "prompt", "generate")
    rows = list(read_jsonl(f"data/raw/{params.generate.split}.jsonl", ROW_FIELDS))
    with answered(f"predict-{which}", rows, ADAPTER if which == "tuned" else None, params) as (predictions, figures):
        write_jsonl(f"predictions/{which}.jsonl", predictions)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predict generate.split with the base or the tuned model.")
    parser.add_argument("which", choices=("base", "tuned"))
    which = parser.parse_args().which
    sys.exit(run_stage(f"predict-{which}", lambda: main(which)))
