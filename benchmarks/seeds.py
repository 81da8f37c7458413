"""Train, score and record a profile on ViGGO with several seeds, by the pipeline's own stages.

python benchmarks/seeds.py smollm2-135m [--viggo FOLDER] [--seeds 0 8 16] [--split validation --results
runs/validation]

Tokenizing and the base model's predictions are done once. Started again, the benchmark resumes. Run for test
after validation, it uses the same adapters. Soups of near seeds would share members: seeds must differ by at
least train.soup_members (or reverse_members, if that is more). By default three such seeds run.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from contextlib import chdir
from itertools import pairwise
from pathlib import Path

from workspace import Workspace, add_arguments, changed, read_profile

from viggo_pipe.cli.git import current_commit
from viggo_pipe.cli.record import check_recordable, record_run, seeds_apart
from viggo_pipe.cli.recorded_runs import RESULTS
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.stage import reporting

_ONCE = ("fetch", "tokenize", "predict-base")
_FILES_OF_ONCE = ("data", "predictions/base.jsonl", "metrics/tokens.json")
_FILES_OF_TRAINING = ("models", "plots/loss.csv", "metrics/model.json")
_PER_SEED = ("train", "predict-tuned", "predict-robustness", "score")


def record_seeds(
    name: str,
    workspaces: Sequence[Workspace],
    trained: Sequence[Workspace],
    results: Path,
    commit: str | None,
) -> None:
    """Run the stages in each workspace, and add its run to `results`/NAME.json.

    Args:
        workspaces: their params differ in the seed only.
        trained: as `workspaces`, but for another split. Adapters that were trained there are not trained
            again.

    Raises:
        InputError: a run cannot be recorded under NAME.
    """
    record = results / f"{name}.json"
    for workspace in workspaces:  # before minutes are spent
        _bring(record, workspace)
        with chdir(workspace.folder):
            check_recordable(name)
    first, *_ = workspaces
    first.run(*_ONCE)
    for workspace, counterpart in zip(workspaces, trained, strict=True):
        workspace.take(first, _ONCE, _FILES_OF_ONCE)
        if counterpart.has_run("train") and not workspace.has_run("train"):
            workspace.take(counterpart, ("train",), _FILES_OF_TRAINING)
        workspace.run(*_PER_SEED)
        _bring(record, workspace)
        with chdir(workspace.folder):
            record_run(name, commit)
        results.mkdir(parents=True, exist_ok=True)
        shutil.copy(workspace.folder / RESULTS / record.name, record)
        print(f"{workspace.folder}: recorded in {record}", flush=True)


def _bring(record: Path, workspace: Workspace) -> None:
    """Copy the record so far to where `viggo record` looks for it."""
    (workspace.folder / RESULTS).mkdir(exist_ok=True)
    if record.exists():
        shutil.copy(record, workspace.folder / RESULTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and record each seed.

    Raises:
        InputError: the params are not valid, seeds are too near to each other, or a run cannot be recorded.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the record, and of the profile without --params")
    add_arguments(parser, Path("runs/seeds"))
    parser.set_defaults(params=None)
    parser.add_argument("--seeds", type=int, nargs="+", help="default: three that share no member")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of records")
    parser.add_argument("--commit", help="of the code, for a copy without its repository")
    options = parser.parse_args(arguments)
    params = read_profile(options.params or Path(f"profiles/{options.name}.yaml"), options.viggo)
    apart = seeds_apart(TrainSettings.model_validate(params["train"]))
    seeds = sorted(set(options.seeds or (0, apart, 2 * apart)))
    for seed, following in pairwise(seeds):
        if following - seed < apart:
            raise InputError(
                f"--seeds: the soups of {seed} and {following} would share members; set them {apart} apart"
            )
    workspaces, trained = (
        [
            Workspace(changed(params, train={"seed": seed}, generate={"split": split}), options.root)
            for seed in seeds
        ]
        for split in (options.split, "validation")
    )
    # Before the first record is written: it makes the repository differ from its commit.
    record_seeds(options.name, workspaces, trained, options.results, options.commit or current_commit())


if __name__ == "__main__":
    sys.exit(reporting("seeds", main))
