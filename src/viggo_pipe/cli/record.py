"""`viggo record`: saves the workspace's run on real ViGGO in results/NAME.json."""

import argparse
from pathlib import Path
from typing import Any

from viggo_pipe.cli.git import current_commit
from viggo_pipe.cli.recorded_runs import PUBLISHED, RESULTS, check_is_viggo, correct_answers, read_recorded
from viggo_pipe.cli.stale import stale_entries
from viggo_pipe.config.load import SECTIONS, Params, load_params
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.metrics_io import read_metrics, write_metrics

# What each stage wrote last, whose sha256 stands in runs/STAGE.json.
_OUTS = {
    "train": "models/adapter/**/*.safetensors",
    "predict-base": "predictions/base.jsonl",
    "predict-tuned": "predictions/tuned.jsonl",
    "predict-robustness": "predictions/robustness/*.jsonl",
}
_NAMES = {
    "predict-base": "predict@base",
    "predict-tuned": "predict@tuned",
    "predict-robustness": "predict_robustness",
}
_METRICS = ("base", "tuned", "comparison", "model", "robustness")
_EXAMPLES = {"validation": 714, "test": 1083}  # of ViGGO, so that a slice of it is not taken for the whole


def run(options: argparse.Namespace) -> None:
    """Record the run, and say where."""
    print(f"recorded in {record_run(options.name)}; `viggo results` shows the table")


def record_run(name: str, commit: str | None = None) -> Path:
    """Add the workspace's run to results/NAME.json, in place of an earlier one with its seed.

    Args:
        commit: of the code that ran; by default that of the repository around the workspace, if there is one.

    Returns:
        The file's path.

    Raises:
        InputError: as `check_recordable`; a stage has not run on what stands in the workspace now, or the
            predictions are not all of the split.
    """
    check_recordable(name)
    _check_reproduced()
    params = load_params(*SECTIONS)
    right = correct_answers("predictions/tuned.jsonl")
    if len(right) != _EXAMPLES.get(params.generate.split):
        raise InputError(
            f"predictions/tuned.jsonl holds {len(right)} examples, which is not ViGGO's "
            f"{params.generate.split} split"
        )
    metrics = {which: read_metrics(f"metrics/{which}.json") for which in _METRICS}
    if round(sum(right) / len(right), 4) != metrics["tuned"]["exact_match"]:
        raise InputError("metrics/tuned.json is not of predictions/tuned.jsonl: run `dvc repro` first")
    path = RESULTS / f"{name}.json"
    recorded = read_recorded(name) if path.exists() else {"params": _setting(params), "runs": {}}
    recorded["runs"][str(params.train.seed)] = {
        "metrics": metrics,
        "stages": {stage: _cost(stage) for stage in _OUTS},
        "commit": commit or current_commit(),
        "right": "".join("1" if is_right else "0" for is_right in right),
    }
    write_metrics(path, recorded)
    return path


def _check_reproduced() -> None:
    """See that params, code, outs and metrics are those of the last `dvc repro`.

    A folder without dvc.yaml is a benchmark's own, which has just run the stages.
    """
    if Path("dvc.yaml").exists() and (stale := stale_entries()):
        raise InputError(f"the workspace is not as `dvc repro` left it ({stale[0]}): run `dvc repro` first")


def _cost(stage: str) -> dict[str, Any]:
    """What `stage` cost, by runs/STAGE.json."""
    note = read_metrics(f"runs/{stage}.json")
    noted = note.pop("sha256", None)  # a note of an older version has none
    if noted not in (None, sha256_of(*sorted(Path().glob(_OUTS[stage])))):
        raise InputError(
            f"runs/{stage}.json is of another run than {_OUTS[stage]}, which DVC took from its cache: to "
            f"measure this one, run `dvc repro --force --single-item {_NAMES.get(stage, stage)}`"
        )
    return note


def check_recordable(name: str) -> None:
    """See, before a run takes its time, that results/NAME.json can take a run with the workspace's params.

    Raises:
        InputError: the data are not ViGGO's, NAME is no name, NAME was recorded with other params, or a run
            that is recorded shares members of its soup with this one.
    """
    params = load_params(*SECTIONS)
    check_is_viggo(params.dataset, "only runs on ViGGO are recorded.")
    if name == PUBLISHED or not name.replace("-", "").replace("_", "").isalnum():
        raise InputError(
            f"a setting cannot be called {name!r}: use letters, digits, - and _, and not {PUBLISHED!r}"
        )
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return
    recorded, setting = read_recorded(name), _setting(params)
    if recorded["params"] != setting:
        raise InputError(
            f"{path} was recorded with other params: {_differing(recorded['params'], setting)}; choose "
            "another name"
        )
    distance = seeds_apart(params.train)
    for seed in map(int, recorded["runs"]):
        if 0 < abs(seed - params.train.seed) < distance:
            raise InputError(
                f"a run of train.seed {params.train.seed} shares members of its soup with that of seed "
                f"{seed} in {path}: choose seeds that lie {distance} apart, the larger of train.soup_members "
                "and train.reverse_members"
            )


def seeds_apart(train: TrainSettings) -> int:
    """How far apart the seeds of two runs lie at least, so that no member of a soup is in both."""
    return max(train.soup_members, train.reverse_members)


def _setting(params: Params) -> dict[str, dict[str, Any]]:
    """What the runs of a setting have in common: all params but the seed, and where the data came from."""
    setting = {section: getattr(params, section).model_dump() for section in SECTIONS if section != "runtime"}
    del setting["train"]["seed"]
    for key in ("path", "sample", "source"):
        del setting["dataset"][key]
    del setting["model"]["path"]  # a local model's content is in its adapter
    return setting


def _differing(one: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> str:
    """The keys whose values differ, as section.key."""
    keys = {f"{section}.{key}" for content in (one, other) for section in content for key in content[section]}
    differing = [key for key in sorted(keys) if _at(one, key) != _at(other, key)]
    return ", ".join(differing)


def _at(content: dict[str, dict[str, Any]], key: str) -> Any:
    section, name = key.split(".", 1)
    return content.get(section, {}).get(name)
