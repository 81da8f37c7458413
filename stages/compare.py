"""Stage compare: a paired test of the tuned model's predictions against the base model's.

python stages/compare.py
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import sys

from viggo_pipe.comparison import compare_base_and_tuned
from viggo_pipe.dvc_files import write_metrics
from viggo_pipe.params import load_params
from viggo_pipe.stage import run_stage


def main() -> None:
    comparison = compare_base_and_tuned("predictions/base.jsonl", "predictions/tuned.jsonl", load_params("score").score)
    write_metrics("metrics/comparison.json", comparison)
    for name, value in comparison.items():
        print(f"{name:<28}{value:>10}")


if __name__ == "__main__":
    sys.exit(run_stage("compare", main))
