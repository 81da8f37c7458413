"""`viggo scores`: the scores of the base and the tuned model, and what data they are of."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from viggo_pipe.config.load import load_params
from viggo_pipe.core.metrics_io import read_metrics
from viggo_pipe.data.provenance import data_provenance
from viggo_pipe.evaluation.summary import robustness_rows, robustness_table, summary_rows, summary_table


def run(options: argparse.Namespace) -> None:
    """Print the tables, and a sentence about the data."""
    params = load_params("dataset", "generate")
    base, tuned = read_metrics("metrics/base.json"), read_metrics("metrics/tuned.json")
    robustness = robustness_rows(read_metrics("metrics/robustness.json"))
    for line in (*summary_table(summary_rows(base, tuned)), "", *robustness_table(robustness), ""):
        print(line)
    dataset, generate = _locked("fetch", "dataset"), _locked("predict@tuned", "generate") or {}
    if dataset in (None, params.dataset.model_dump()) and generate.get("split") in (
        None,
        params.generate.split,
    ):
        print(
            f"{tuned['examples']:,} examples of the {params.generate.split} split. "
            f"{data_provenance(params.dataset).note}"
        )
    else:
        print(
            f"{tuned['examples']:,} examples. dvc.lock has other data or another split than params.yaml, "
            "so it is not known what these figures are of; run `dvc repro`"
        )


def _locked(stage: str, section: str) -> dict[str, Any] | None:
    """The section of params.yaml that `stage` last ran with, by dvc.lock; None where that cannot be said."""
    try:
        lock = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))
        return lock["stages"][stage]["params"]["params.yaml"][section]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None
