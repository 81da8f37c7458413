"""Stages predict@base and predict@tuned: what the model answers to each sentence of a split.

python stages/predict.py tuned
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
import viggo_pipe.core.entry_point  # noqa: F401 (before the imports that take seconds)
from viggo_pipe.config.load import load_params
from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.jsonl import ROW_FIELDS, read_jsonl, write_jsonl
from viggo_pipe.core.stage import run_stage
from viggo_pipe.decoding.predict import predicted_rows

ADAPTER = "models/adapter"


def main(which: str) -> dict[str, float | str]:
    params = load_params("model", "quantize", "prompt", "generate")
    rows = list(read_jsonl(f"data/raw/{params.generate.split}.jsonl", ROW_FIELDS))
    adapter = ADAPTER if which == "tuned" else None
    with predicted_rows(f"predict-{which}", rows, adapter, params) as (predictions, figures):
        write_jsonl(f"predictions/{which}.jsonl", predictions)
    return {**figures, "sha256": sha256_of(Path(f"predictions/{which}.jsonl"))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predict generate.split with the base or the tuned model.")
    parser.add_argument("which", choices=("base", "tuned"))
    which = parser.parse_args().which
    sys.exit(run_stage(f"predict-{which}", lambda: main(which)))
