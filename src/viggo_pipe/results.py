"""Recorded runs on real ViGGO: results/NAME.json holds a setting and its runs, one a seed; the table shows them all.

A run is what stands in the workspace: metrics, what the stages cost (runs/), and which test examples came out right.
"""

import json
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from viggo_pipe.comparison import PairedOutcomes, count_outcomes
from viggo_pipe.dvc_files import read_metrics
from viggo_pipe.errors import InputError
from viggo_pipe.files import atomic_write
from viggo_pipe.params import SECTIONS, Params, load_params
from viggo_pipe.predictions import read_predictions
from viggo_pipe.provenance import data_provenance
from viggo_pipe.scoring import exact_match
from viggo_pipe.settings.train import TrainSettings

RESULTS = Path("results")
_PUBLISHED = "published"
_STAGES = ("train", "predict-base", "predict-tuned", "predict-probes")
_PROBES = ("unseen_names", "typing_slips")  # of the table; a record holds all of them
_COLUMNS = (
    "system",
    "parameters",
    "split",
    "exact match",
    "slot F1",
    "invented names",
    "typing slips",
    "training",
    "runs",
    "source",
)
_EXAMPLES = {"validation": 714, "test": 1083}  # of ViGGO, so that a slice of it is not taken for the whole


def record_run(name: str, commit: str | None = None) -> Path:
    """Add the workspace's run to results/NAME.json, in place of an earlier one with its seed, and return the path.

    Args:
        commit: of the code that ran; by default that of the repository around the workspace, if there is one.

    Raises:
        InputError: as `check_recordable`; a stage has not run, or the predictions are not all of the split.
    """
    check_recordable(name)
    params = load_params(*SECTIONS)
    right = _right("predictions/tuned.jsonl")
    if len(right) != _EXAMPLES.get(params.generate.split):
        raise InputError(
            f"predictions/tuned.jsonl holds {len(right)} examples, which is not ViGGO's {params.generate.split} split"
        )
    metrics = {which: read_metrics(f"metrics/{which}.json") for which in ("base", "tuned", "comparison", "model", "probes")}
    if round(sum(right) / len(right), 4) != metrics["tuned"]["exact_match"]:
        raise InputError("metrics/tuned.json is not of predictions/tuned.jsonl: run `dvc repro` first")
    path = RESULTS / f"{name}.json"
    recorded = _recorded(name) if path.exists() else {"params": _setting(params), "runs": {}}
    recorded["runs"][str(params.train.seed)] = {
        "metrics": metrics,
        "stages": {stage: read_metrics(f"runs/{stage}.json") for stage in _STAGES},
        "commit": commit or current_commit(),
        "right": "".join("1" if is_right else "0" for is_right in right),
    }
    recorded["runs"] = dict(sorted(recorded["runs"].items(), key=lambda run: int(run[0])))
    with atomic_write(path) as file:
        json.dump(recorded, file, indent=2, sort_keys=True)
        file.write("\n")
    return path


def check_recordable(name: str) -> None:
    """Find what would keep a run with the workspace's params out of results/NAME.json, before it has taken its time.

    Raises:
        InputError: the data are not ViGGO's, NAME is no name, NAME was recorded with other params, or a run that is recorded
            shares members of its soup with this one.
    """
    params = load_params(*SECTIONS)
    provenance = data_provenance(params.dataset)
    if not provenance.is_viggo:
        raise InputError(f"only runs on ViGGO are recorded. {provenance.note}")
    if name == _PUBLISHED or not name.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"a setting cannot be called {name!r}: use letters, digits, - and _, and not {_PUBLISHED!r}")
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return
    recorded, setting = _recorded(name), _setting(params)
    if recorded["params"] != setting:
        raise InputError(f"{path} was recorded with other params: {_differing(recorded['params'], setting)}; choose another name")
    for seed in map(int, recorded["runs"]):
        if 0 < abs(seed - params.train.seed) < (members := seeds_apart(params.train)):
            raise InputError(
                f"a run of train.seed {params.train.seed} shares members of its soup with that of seed {seed} in {path}: choose "
                f"seeds that lie {members} apart, the larger of train.soup_members and train.reverse_members"
            )


def seeds_apart(train: TrainSettings) -> int:
    """How far apart the seeds of two runs lie at least, so that no member of a soup is in both."""
    return max(train.soup_members, train.reverse_members)


def _setting(params: Params) -> dict[str, dict[str, Any]]:
    """What the runs of a setting have in common: all params but the seed, where the files lay, and what was not used."""
    setting = {section: getattr(params, section).model_dump() for section in SECTIONS if section != "runtime"}
    del setting["train"]["seed"]
    for key in ("path", "sample", "source"):
        del setting["dataset"][key]
    return setting


def compare_with_recorded(name: str, seed: int | None = None) -> PairedOutcomes:
    """Pair the workspace's tuned predictions (second) with a recorded run's (first), example by example.

    Args:
        seed: the recorded run's; by default the first one.

    Raises:
        InputError: there is no such run, or it is of another split.
    """
    params = load_params("dataset", "generate")
    provenance = data_provenance(params.dataset)
    if not provenance.is_viggo:
        raise InputError(f"recorded runs are ViGGO's, and the workspace's is not. {provenance.note}")
    recorded = _recorded(name)
    runs = recorded["runs"]
    run = next(iter(runs.values())) if seed is None else runs.get(str(seed))
    if run is None:
        raise InputError(f"results/{name}.json has no run of seed {seed}; it has {', '.join(runs)}")
    split = recorded["params"]["generate"]["split"]
    right = _right("predictions/tuned.jsonl")
    if split != params.generate.split or len(right) != len(run["right"]):
        raise InputError(
            f"results/{name}.json is of the {split} split, {len(run['right'])} examples; the workspace holds another one"
        )
    return count_outcomes((before == "1", now) for before, now in zip(run["right"], right, strict=True))


def results_table() -> list[str]:
    """The lines of a Markdown table: recorded settings, means over their seeds, then published figures.

    Raises:
        InputError: there is no folder results/, or a file in it is not a recorded setting.
    """
    names = sorted(path.stem for path in RESULTS.glob("*.json") if path.stem != _PUBLISHED)
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    rows += [_recorded_row(name) for name in names]
    published = RESULTS / f"{_PUBLISHED}.json"
    with _naming(published):
        for figure in sorted(read_metrics(published)["figures"], key=lambda figure: -figure["exact_match"]):
            score = _percent(figure["exact_match"])
            rows.append((figure["system"], figure["parameters"], figure["split"], score, "", "", "", "", "", figure["source"]))
    return [f"| {' | '.join(row)} |" for row in rows]


def _recorded_row(name: str) -> tuple[str, ...]:
    recorded = _recorded(name)
    with _naming(RESULTS / f"{name}.json"):
        runs = list(recorded["runs"].values())
        tuned = [run["metrics"]["tuned"] for run in runs]
        where = sorted({_hardware(run["stages"]["train"]["machine"]) for run in runs})
        return (
            f"**{name}**",
            f"{_base_parameters(runs[0]['metrics']['model']) / 1e6:.0f}M",
            recorded["params"]["generate"]["split"],
            mean_and_spread([metrics["exact_match"] for metrics in tuned]),
            mean_and_spread([metrics["slot_f1"] for metrics in tuned]),
            *(mean_and_spread([run["metrics"]["probes"][probe]["exact_match"] for run in runs]) for probe in _PROBES),
            f"{statistics.fmean(run['stages']['train']['seconds'] for run in runs):.0f} s",
            str(len(runs)),
            f"results/{name}.json ({', '.join(where)})",
        )


def _base_parameters(counts: dict[str, int]) -> int:
    """Those of the base model, as published figures have them."""
    return counts["total_parameters"] - counts["trainable_parameters"]


def _right(path: str) -> list[bool]:
    return [exact_match(row.reference, row.prediction) for row in read_predictions(path)]


def _recorded(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    recorded = read_metrics(path)
    with _naming(path):
        if not recorded["runs"]:
            raise ValueError("no run")
        for seed, run in recorded["runs"].items():
            int(seed), run["metrics"]["tuned"]["exact_match"], run["stages"]["train"]["machine"]["gpus"], len(run["right"])
        recorded["params"]["generate"]["split"]
    return recorded


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what a file of another form raises into an InputError that names it."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged ({error!r}); take it out of git again, or delete it") from error


def _differing(one: dict[str, dict], other: dict[str, dict]) -> str:
    keys = {f"{section}.{key}" for content in (one, other) for section in content for key in content[section]}
    differing = [key for key in sorted(keys) if _at(one, key) != _at(other, key)]
    return ", ".join(differing)


def _at(content: dict[str, dict], key: str) -> Any:
    section, name = key.split(".", 1)
    return content.get(section, {}).get(name)


def current_commit() -> str | None:
    """HEAD, with "-dirty" where tracked files differ from it; None outside a repository, or without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    except FileNotFoundError:
        return None


def _hardware(machine: dict[str, Any]) -> str:
    gpus = machine["gpus"]
    return (
        (f"{len(gpus)} x {gpus[0]}" if len(gpus) > 1 else gpus[0])
        if gpus
        else f"{machine['processor']}, {machine['cores']} cores"
    )


def mean_and_spread(shares: Sequence[float]) -> str:
    """In percent: the mean, and the standard deviation where there are several."""
    mean = _percent(statistics.fmean(shares))
    return mean if len(shares) == 1 else f"{mean} ± {_percent(statistics.stdev(shares))}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
