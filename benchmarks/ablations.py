"""What a single change to a profile does on the validation split, by the pipeline's own stages.

python benchmarks/ablations.py [--viggo FOLDER] [--changes "two epochs" ...] [--seeds 0 1 ...] [--jobs 4]

Each run trains one adapter that answers greedily, but for its change; its figures are written as it ends, and called again,
this goes on. At the end it prints the table of docs/quality.md. Several runs at once fill a GPU that one small model does not.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from workspace import ONE_ADAPTER, Params, Workspace, changed, common, positive, read_profile, read_runs, write_runs

from viggo_pipe.errors import InputError
from viggo_pipe.results import mean_and_spread

_AS_IT_IS = "the profile, one adapter, greedy"
_ASKED: dict[str, dict[str, Any]] = {
    "prompt": {"reverse": "Meaning representation: {meaning_representation}\nSentence:\n"},
    "train": {"reverse_members": 1},
    "generate": {"alternatives": 0.02, "reverse_weight": 0.25},
}
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    _AS_IT_IS: {},
    "learning rate 1e-3": {"train": {"learning_rate": 0.001}},
    "learning rate 4e-3": {"train": {"learning_rate": 0.004}},
    "linear schedule": {"train": {"schedule": "linear"}},
    "two epochs": {"train": {"epochs": 2}},
    "rank 16, alpha 32": {"lora": {"r": 16, "alpha": 32}},
    "rank 128, alpha 256": {"lora": {"r": 128, "alpha": 256}},
    "alpha 512 (rsLoRA's factor for alpha 64)": {"lora": {"alpha": 512}},
    "attention's layers alone": {"lora": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}},
    "no dropout": {"lora": {"dropout": 0.0}},
    "loss on the sentence too": {"train": {"loss_on": "all"}},
    "batches of 24 packs": {"train": {"batch_size": 24}},
    "no invented names": {"augment": {"new_names": 0.0}},
    "twice the invented names": {"augment": {"new_names": 0.6}},
    "no typing slips": {"augment": {"typing_slips": 0.0}},
    "twenty variants, half an epoch": {"augment": {"variants": 20}, "train": {"epochs": 0.5}},
    "rows as written, ten epochs": {"augment": {"variants": 1}, "train": {"epochs": 10}},
    "another prompt": {"prompt": {"template": "{sentence}\n"}},
    "alternatives from 0.02 on": {"generate": {"alternatives": 0.02}},
    "alternatives from 0.02 on, and the sentence asked": _ASKED,
    "answers not constrained": {"generate": {"constrain": False}},
}
_STAGES = ("fetch", "tokenize", "train", "predict-tuned", "predict-probes", "score-tuned", "score-probes")


def measure(workspace: Workspace) -> dict[str, Any]:
    """Run the stages; the scores on generate.split and on its probes, and the machine."""
    workspace.run(*_STAGES)
    return {
        "exact_match": workspace.metrics("tuned")["exact_match"],
        "probes": {probe: scores["exact_match"] for probe, scores in workspace.metrics("probes").items()},
        "machine": workspace.measured("train")["machine"],
    }


def add_run(path: Path, params: Params, change: str, seed: int, figures: dict[str, Any]) -> None:
    """Put a run into the file, in place of an earlier one of its change and seed."""
    runs = read_runs(path, params) or {}
    runs.setdefault(change, {})[str(seed)] = figures
    write_runs(path, params, {name: runs[name] for name in CHANGES if name in runs})


def table(path: Path) -> list[str]:
    """The lines of a Markdown table: exact match, a line a change, the mean over its seeds and their spread."""
    measured = {
        change: list(by_seed.values()) for change, by_seed in json.loads(path.read_text(encoding="utf-8"))["runs"].items()
    }
    probes = next(iter(measured.values()))[0]["probes"]
    columns = ("validation", *(probe.replace("_", " ") for probe in probes), "seeds")
    lines = [f"| change | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for change, runs in measured.items():
        cells = [mean_and_spread([run["exact_match"] for run in runs])]
        cells += [f"{100 * statistics.fmean(run['probes'][probe] for run in runs):.1f}" for probe in probes]
        lines.append(f"| {change} | {' | '.join(cells)} | {len(runs)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and measure each change with each seed.

    Raises:
        InputError: a change makes the params invalid, or the file has runs with other ones.
        SystemExit: a stage failed; what others came to is written.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--viggo", type=Path, help="the folder of ViGGO's CSV files; without it they come from the profile's source"
    )
    parser.add_argument("--params", type=Path, default=Path("profiles/smollm2-135m.yaml"))
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="CHANGE", help="; ".join(CHANGES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=positive(int), default=1, help="runs at once")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ablations.json"))
    parser.add_argument("--root", type=Path, default=Path("runs/ablations"), help="where the stages run")
    options = parser.parse_args(arguments)
    params = changed(changed(read_profile(options.params, options.viggo), **ONE_ADAPTER), generate={"split": "validation"})
    planned = {}
    for seed in options.seeds:
        for change in options.changes:
            sections = {**CHANGES[change], "train": {**CHANGES[change].get("train", {}), "seed": seed}}
            planned[change, seed] = Workspace(changed(params, **sections), options.root)
    setting = common(params)
    read_runs(options.out, setting)  # before minutes are spent
    failed = []
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(measure, workspace): run for run, workspace in planned.items()}
        try:
            for done in as_completed(running):
                if isinstance(done.exception(), SystemExit):  # of a stage that has said why
                    failed.append("{}, seed {}".format(*running[done]))
                else:
                    add_run(options.out, setting, *running[done], done.result())
        except BaseException:  # Ctrl-C: what has not begun is not to begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if options.out.exists():
        print("\n".join(table(options.out)))
    if failed:
        raise SystemExit(f"ablations: not measured: {'; '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"ablations: {error}") from error
