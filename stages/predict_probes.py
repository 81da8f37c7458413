"""Stage predict_probes: what the tuned model answers about unheard-of games, and to sentences as people type them.

python stages/predict_probes.py
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import sys
from itertools import islice

from viggo_pipe.answering import answered
from viggo_pipe.files import atomic_folder
from viggo_pipe.jsonl import ROW_FIELDS, read_jsonl, write_jsonl
from viggo_pipe.params import load_params
from viggo_pipe.probes import probe_rows
from viggo_pipe.stage import run_stage


def main() -> dict[str, float]:
    params = load_params("model", "quantize", "prompt", "generate", "probe")
    probes = probe_rows(read_jsonl(f"data/raw/{params.generate.split}.jsonl", ROW_FIELDS), params.probe)
    asked = [row for rows in probes.values() for row in rows]
    with answered("predict-probes", asked, "models/adapter", params) as (predictions, figures):
        answers = iter(predictions)
        with atomic_folder("predictions/probes") as folder:
            for probe, rows in probes.items():
                write_jsonl(folder / f"{probe}.jsonl", islice(answers, len(rows)))
    return figures


if __name__ == "__main__":
    sys.exit(run_stage("predict-probes", main))
