"""Stage score_probes: metrics of the probes' predictions.

python stages/score_probes.py
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import sys
from pathlib import Path

from viggo_pipe.dvc_files import write_metrics
from viggo_pipe.params import load_params
from viggo_pipe.stage import run_stage
from viggo_pipe.tally import tally_predictions

METRICS = ("examples", "exact_match", "exact_match_low", "exact_match_high", "slot_f1", "dialogue_act_accuracy", "in_ontology")


def main() -> None:
    settings, probes = load_params("score").score, {}
    for path in sorted(Path("predictions/probes").glob("*.jsonl")):
        metrics = tally_predictions(path).metrics(settings)
        probes[path.stem] = {name: metrics[name] for name in METRICS}
        print(f"{path.stem:<24}{metrics['exact_match']:>8}")
    write_metrics("metrics/probes.json", probes)


if __name__ == "__main__":
    sys.exit(run_stage("score-probes", main))
