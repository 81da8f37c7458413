"""Stages score@base and score@tuned: metrics of the predictions, and tables of them by attribute and by dialogue act.

python stages/score.py tuned
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import argparse
import sys

from viggo_pipe.dvc_files import write_metrics, write_plot
from viggo_pipe.params import load_params
from viggo_pipe.stage import run_stage
from viggo_pipe.tally import tally_predictions


def main(which: str) -> None:
    # What ViggoMetric does, without importing evaluate, which takes longer than the scoring.
    tally = tally_predictions(f"predictions/{which}.jsonl")
    metrics = tally.metrics(load_params("score").score)

    write_metrics(f"metrics/{which}.json", metrics)
    write_plot(f"plots/{which}/attributes.csv", tally.by_attribute())
    write_plot(f"plots/{which}/by_dialogue_act.csv", tally.by_dialogue_act())
    write_plot(f"plots/{which}/dialogue_acts.csv", tally.dialogue_acts())
    for name, value in metrics.items():
        print(f"{name:<24}{value:>8}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Score predictions/WHICH.jsonl.")
    parser.add_argument("which", choices=("base", "tuned"))
    which = parser.parse_args().which
    sys.exit(run_stage(f"score-{which}", lambda: main(which)))
