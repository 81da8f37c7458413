"""Records a profile on ViGGO: trained, scored and recorded with each of several seeds, by the pipeline's own stages.

python benchmarks/seeds.py smollm2-135m [--viggo FOLDER] [--seeds 0 8 16] [--split validation --results runs/validation]

The data are tokenized, and the base model is asked, once. Called again, it goes on where it stopped; called for test after
validation, it asks the same adapters. Seeds lie at least train.soup_members (or reverse_members, where that is more) apart, or
their soups would share members; by default three of them that lie so.
"""

import argparse
import shutil
from collections.abc import Sequence
from contextlib import chdir
from itertools import pairwise
from pathlib import Path

from workspace import Workspace, changed, read_profile

from viggo_pipe.errors import InputError
from viggo_pipe.results import RESULTS, check_recordable, current_commit, record_run, seeds_apart
from viggo_pipe.settings.train import TrainSettings

_ONCE = ("fetch", "tokenize", "predict-base", "score-base")
_ONCES_FILES = ("data", "predictions/base.jsonl", "metrics/tokens.json", "metrics/base.json")
_TRAINING = ("train",)
_TRAININGS_FILES = ("models", "plots/loss.csv", "metrics/model.json")
_PER_SEED = (*_TRAINING, "predict-tuned", "predict-probes", "score-tuned", "score-probes", "compare")


def record_seeds(
    name: str, workspaces: Sequence[Workspace], trained: Sequence[Workspace], results: Path, commit: str | None
) -> None:
    """Run the stages in each of `workspaces`, whose params differ in the seed alone, and add its run to `results`/NAME.json.

    Where a training has run in its counterpart of `trained`, whose params differ in the split alone, it is not run again: what
    is asked on validation and then on test is one adapter.

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
        workspace.take(first, _ONCE, _ONCES_FILES)
        if counterpart.has_run(*_TRAINING) and not workspace.has_run(*_TRAINING):
            workspace.take(counterpart, _TRAINING, _TRAININGS_FILES)
        workspace.run(*_PER_SEED)
        _bring(record, workspace)
        with chdir(workspace.folder):
            record_run(name, commit)
        results.mkdir(parents=True, exist_ok=True)
        shutil.copy(workspace.folder / RESULTS / record.name, record)
        print(f"{workspace.folder}: exact match {workspace.metrics('tuned')['exact_match']:.4f}, in {record}", flush=True)


def _bring(record: Path, workspace: Workspace) -> None:
    """Put what is recorded already where `viggo record` looks for it."""
    (workspace.folder / RESULTS).mkdir(exist_ok=True)
    if record.exists():
        shutil.copy(record, workspace.folder / RESULTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and record each seed.

    Raises:
        InputError: the params are not valid, seeds lie too near to each other, or a run cannot be recorded.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the record")
    parser.add_argument("--params", type=Path, help="default: profiles/NAME.yaml")
    parser.add_argument(
        "--viggo", type=Path, help="the folder of ViGGO's CSV files; without it they come from the profile's source"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="default: three that lie far enough apart")
    parser.add_argument("--split", choices=("validation", "test"), default="test", help="validation: to see what would come out")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of records")
    parser.add_argument("--commit", help="of the code, where this is a copy without its repository")
    parser.add_argument("--root", type=Path, default=Path("runs/seeds"), help="where the stages run")
    options = parser.parse_args(arguments)
    params = read_profile(options.params or Path(f"profiles/{options.name}.yaml"), options.viggo)
    members = seeds_apart(TrainSettings.model_validate(params["train"]))
    seeds = sorted(set(options.seeds or (0, members, 2 * members)))
    for seed, following in pairwise(seeds):
        if following - seed < members:
            raise InputError(f"--seeds: the soups of {seed} and {following} would share members; let them lie {members} apart")
    workspaces, trained = (
        [Workspace(changed(params, train={"seed": seed}, generate={"split": split}), options.root) for seed in seeds]
        for split in (options.split, "validation")
    )
    # Now: a record that this script has written to makes the repository differ from its commit.
    record_seeds(options.name, workspaces, trained, options.results, options.commit or current_commit())


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"seeds: {error}") from error
