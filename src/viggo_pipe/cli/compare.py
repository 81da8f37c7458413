"""`viggo compare`: the workspace's predictions against a recorded run's, example by example."""

import argparse

from viggo_pipe.cli.recorded_runs import check_is_viggo, correct_answers, read_recorded
from viggo_pipe.config.load import load_params
from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.paired_test import PairedOutcomes, count_outcomes


def run(options: argparse.Namespace) -> None:
    """Print how often only one of the two was right, and McNemar's test."""
    outcomes = compare_with_recorded(options.name, options.seed)
    print(
        f"{outcomes.examples:,} examples: {outcomes.only_first_right} right only as recorded, "
        f"{outcomes.only_second_right} only now; exact match {100 * outcomes.difference:+.1f} points, "
        f"McNemar's exact p = {outcomes.mcnemar_p():.4g}"
    )


def compare_with_recorded(name: str, seed: int | None = None) -> PairedOutcomes:
    """Pair the workspace's tuned predictions (second) with a recorded run's (first), example by example.

    Args:
        seed: the recorded run's; by default the first one.

    Raises:
        InputError: there is no such run, or it is of another split.
    """
    params = load_params("dataset", "generate")
    check_is_viggo(params.dataset, "recorded runs are ViGGO's, and the workspace's is not.")
    recorded = read_recorded(name)
    runs = recorded["runs"]
    run = next(iter(runs.values())) if seed is None else runs.get(str(seed))
    if run is None:
        raise InputError(f"results/{name}.json has no run of seed {seed}; it has {', '.join(runs)}")
    split = recorded["params"]["generate"]["split"]
    right = correct_answers("predictions/tuned.jsonl")
    if split != params.generate.split or len(right) != len(run["right"]):
        raise InputError(
            f"results/{name}.json is of the {split} split, {len(run['right'])} examples; the workspace holds "
            "another one"
        )
    return count_outcomes((before == "1", now) for before, now in zip(run["right"], right, strict=True))
