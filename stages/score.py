"""Stage score: metrics of all predictions, tables by attribute and dialogue act, and base against tuned.

python stages/score.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
import viggo_pipe.core.entry_point  # noqa: F401 (before the imports that take seconds)
from viggo_pipe.config.load import load_params
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.metrics_io import write_metrics, write_plot
from viggo_pipe.core.stage import run_stage
from viggo_pipe.evaluation.paired_test import compare_base_and_tuned
from viggo_pipe.evaluation.viggo_metric import score_predictions

ROBUSTNESS = Path("predictions/robustness")
METRICS = (
    "examples",
    "exact_match",
    "exact_match_low",
    "exact_match_high",
    "slot_f1",
    "dialogue_act_accuracy",
    "in_ontology",
)


def main() -> None:
    settings = load_params("score").score
    # All is scored before anything is written: bad predictions leave nothing behind.
    scored = {which: score_predictions(f"predictions/{which}.jsonl", settings) for which in ("base", "tuned")}
    robustness = {}
    sets = sorted(ROBUSTNESS.glob("*.jsonl"))
    if not sets:
        raise InputError(f"there are no predictions in {ROBUSTNESS}; run `dvc repro predict_robustness`")
    for path in sets:
        _, metrics = score_predictions(path, settings)
        robustness[path.stem] = {name: metrics[name] for name in METRICS}
    comparison = compare_base_and_tuned("predictions/base.jsonl", "predictions/tuned.jsonl", settings)

    for which, (counts, metrics) in scored.items():
        write_metrics(f"metrics/{which}.json", metrics)
        write_plot(f"plots/{which}/attributes.csv", counts.by_attribute())
        write_plot(f"plots/{which}/by_dialogue_act.csv", counts.by_dialogue_act())
        write_plot(f"plots/{which}/dialogue_acts.csv", counts.dialogue_acts())
        print(f"{which}: exact match {metrics['exact_match']}, slot F1 {metrics['slot_f1']}")
    for name, metrics in robustness.items():
        print(f"{name}: exact match {metrics['exact_match']}")
    write_metrics("metrics/robustness.json", robustness)
    write_metrics("metrics/comparison.json", comparison)
    print(f"tuned less base: {comparison['exact_match_difference']}, p = {comparison['mcnemar_p']}")


if __name__ == "__main__":
    sys.exit(run_stage("score", main))
