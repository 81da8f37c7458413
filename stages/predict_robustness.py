"""Stage predict_robustness: what the tuned model answers about unseen games, and to sentences as people type
them.

python stages/predict_robustness.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
import viggo_pipe.core.entry_point  # noqa: F401, I001 (before the imports that take seconds)
from itertools import islice

from viggo_pipe.augment.robustness_sets import robustness_sets
from viggo_pipe.config.load import load_params
from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.files import atomic_folder
from viggo_pipe.core.jsonl import ROW_FIELDS, read_jsonl, write_jsonl
from viggo_pipe.core.stage import run_stage
from viggo_pipe.decoding.predict import predicted_rows


def main() -> dict[str, float | str]:
    params = load_params("model", "quantize", "prompt", "generate", "robustness")
    split = read_jsonl(f"data/raw/{params.generate.split}.jsonl", ROW_FIELDS)
    sets = robustness_sets(split, params.robustness)
    rows = [row for changed in sets.values() for row in changed]
    with predicted_rows("predict-robustness", rows, "models/adapter", params) as (predictions, figures):
        remaining = iter(predictions)
        with atomic_folder("predictions/robustness") as folder:
            for name, changed in sets.items():
                write_jsonl(folder / f"{name}.jsonl", islice(remaining, len(changed)))
    return {**figures, "sha256": sha256_of(*sorted(Path("predictions/robustness").iterdir()))}


if __name__ == "__main__":
    sys.exit(run_stage("predict-robustness", main))
