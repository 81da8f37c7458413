"""What single changes to a profile do on the validation split.

python benchmarks/ablations.py [--viggo FOLDER] [--changes "two epochs" ...] [--seeds 0 1 ...] [--jobs 4]

Each run trains one adapter that decodes greedily, but for its change. Its figures are written when it ends.
Started again, the benchmark resumes. At the end it prints the table of docs/quality.md. Small models do not
fill a GPU: --jobs runs several at once.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from workspace import ONE_ADAPTER, Sections, Workspace, add_arguments, changed, read_profile

from viggo_pipe.cli.results import mean_and_spread
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import atomic_write
from viggo_pipe.core.stage import reporting

BASELINE = "the profile, one adapter, greedy"
_REVERSE: Sections = {
    "prompt": {"reverse": "Meaning representation: {meaning_representation}\nSentence:\n"},
    "train": {"reverse_members": 1},
    "generate": {"rerank": 0.02, "channel_weight": 0.25},
}
CHANGES: dict[str, Sections] = {
    BASELINE: {},
    "learning rate 1e-3": {"train": {"learning_rate": 0.001}},
    "learning rate 4e-3": {"train": {"learning_rate": 0.004}},
    "linear schedule": {"train": {"lr_scheduler_type": "linear"}},
    "two epochs": {"train": {"num_train_epochs": 2}},
    "rank 16, alpha 32": {"lora": {"r": 16, "lora_alpha": 32}},
    "rank 128, alpha 256": {"lora": {"r": 128, "lora_alpha": 256}},
    "alpha 512 (rsLoRA's factor for alpha 64)": {"lora": {"lora_alpha": 512}},
    "attention's layers alone": {"lora": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}},
    "no dropout": {"lora": {"lora_dropout": 0.0}},
    "loss on the sentence too": {"train": {"completion_only_loss": False}},
    "batches of 24 packs": {"train": {"per_device_train_batch_size": 24}},
    "no invented names": {"augment": {"new_names": 0.0}},
    "twice the invented names": {"augment": {"new_names": 0.6}},
    "no typing slips": {"augment": {"typing_slips": 0.0}},
    "twenty variants, half an epoch": {"augment": {"variants": 20}, "train": {"num_train_epochs": 0.5}},
    "rows as written, ten epochs": {"augment": {"variants": 1}, "train": {"num_train_epochs": 10}},
    "another prompt": {"prompt": {"template": "{sentence}\n"}},
    "rerank 0.02": {"generate": {"rerank": 0.02}},
    "rerank 0.02, with a reverse adapter": _REVERSE,
    "no grammar": {"generate": {"constrain": False}},
}
_STAGES = ("fetch", "tokenize", "train", "predict-tuned", "predict-robustness")
_SETS = ("lower_case", "no_punctuation", "typing_slips", "unseen_names")


def measure(workspace: Workspace) -> dict[str, Any]:
    """Run the stages; return exact match on generate.split and its robustness sets, and the machine."""
    workspace.run(*_STAGES)
    return {
        "exact_match": _share(workspace.matches("tuned")),
        "robustness": {name: _share(workspace.matches(f"robustness/{name}")) for name in _SETS},
        "machine": workspace.measured("train")["machine"],
    }


def read_runs(path: Path, params: Sections) -> dict[str, dict[str, Any]]:
    """The runs in a file of results, by change and seed.

    Raises:
        InputError: they were made with other params than `params`.
    """
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("params") != params:
        raise InputError(f"{path} was measured with other params; name another file by --out, or delete it")
    return content["runs"]


def add_run(path: Path, params: Sections, change: str, seed: int, figures: dict[str, Any]) -> None:
    """Put a run into the file. It replaces an earlier one of its change and seed."""
    runs = read_runs(path, params)
    runs.setdefault(change, {})[str(seed)] = figures
    with atomic_write(path) as file:
        json.dump(
            {"params": params, "runs": {name: runs[name] for name in CHANGES if name in runs}}, file, indent=2
        )
        file.write("\n")


def common(params: Sections) -> Sections:
    """What all runs of a file share: all but the seed, where ViGGO lies, and `runtime`."""
    shared = {name: dict(keys) for name, keys in params.items() if name != "runtime"}
    for key in ("source", "path", "sample"):
        del shared["dataset"][key]
    del shared["train"]["seed"]
    return shared


def table(path: Path) -> list[str]:
    """The lines of a Markdown table: exact match of each change, as the mean over its seeds."""
    lines = [
        f"| change | validation | {' | '.join(name.replace('_', ' ') for name in _SETS)} | seeds |",
        "|---" * (len(_SETS) + 3) + "|",
    ]
    for change, by_seed in json.loads(path.read_text(encoding="utf-8"))["runs"].items():
        runs = by_seed.values()
        cells = [mean_and_spread([run["exact_match"] for run in runs])]
        cells += [f"{100 * statistics.fmean(run['robustness'][name] for run in runs):.1f}" for name in _SETS]
        lines.append(f"| {change} | {' | '.join(cells)} | {len(runs)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and measure each change with each seed.

    Raises:
        InputError: a change makes the params invalid, a stage failed, or the file has runs with other params.
            Runs that succeeded are in the file.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, Path("runs/ablations"))
    parser.add_argument(
        "--changes",
        nargs="+",
        choices=CHANGES,
        default=list(CHANGES),
        metavar="CHANGE",
        help="; ".join(CHANGES),
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ablations.json"))
    options = parser.parse_args(arguments)
    profile = read_profile(options.params, options.viggo)
    params = changed(changed(profile, **ONE_ADAPTER), generate={"split": "validation"})
    shared = common(params)
    read_runs(options.out, shared)  # refuses the file before minutes are spent
    planned = {
        (change, seed): Workspace(
            changed(changed(params, **CHANGES[change]), train={"seed": seed}), options.root
        )
        for seed in options.seeds
        for change in options.changes
    }
    failed = []
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(measure, workspace): run for run, workspace in planned.items()}
        try:
            for done in as_completed(running):
                change, seed = running[done]
                if isinstance(done.exception(), SystemExit):  # a stage failed, and has said why
                    failed.append(f"{change}, seed {seed}")
                else:
                    add_run(options.out, shared, change, seed, done.result())
        except BaseException:  # such as Ctrl-C: start no other run
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if options.out.exists():
        print("\n".join(table(options.out)))
    if failed:
        raise InputError(f"not measured: {'; '.join(failed)}")


def _share(matches: list[bool]) -> float:
    return round(statistics.fmean(matches), 4)


if __name__ == "__main__":
    sys.exit(reporting("ablations", main))
