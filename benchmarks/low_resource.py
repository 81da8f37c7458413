"""Exact match with 1% to all of the training rows, by the pipeline's own stages.

python benchmarks/low_resource.py [--viggo FOLDER] [--shares 0.01 0.1 ...] [--seeds 0 1 ...] [--split test]

Each run trains one adapter (or `--members`, averaged) that answers greedily. Its figures are written as it ends; called again,
this goes on. benchmarks/plot_low_resource.py draws them.
A pass over 1% of the rows would end after a few steps. So a row of a share below 1 has as many more variants as the share is
smaller, up to 20 times: then 5% of the rows, and all of them, are trained on for equally many steps.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workspace import ONE_ADAPTER, Params, Workspace, changed, common, positive, read_profile, read_runs, write_runs

from viggo_pipe.errors import InputError

_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 1.0)
_MOST_REPEATED = 20
_SCORES = ("exact_match", "exact_match_low", "exact_match_high", "slot_f1", "examples")


def measure(params: Params, share: float, seed: int, root: Path) -> dict[str, Any]:
    """Train on `share` of the rows, both drawn and trained with `seed`; the scores on generate.split."""
    variants = round(params["augment"]["variants"] * min(1 / share, _MOST_REPEATED))
    workspace = Workspace(
        changed(
            params,
            dataset={"train_share": share, "train_share_seed": seed},
            augment={"variants": variants},
            train={"seed": seed},
        ),
        root,
    )
    workspace.run("fetch", "tokenize", "train", "predict-tuned", "score-tuned")
    scores = workspace.metrics("tuned")
    return {
        "share": share,
        "seed": seed,
        "rows": workspace.metrics("tokens")["train"]["rows"] // variants,
        "variants": variants,
        **{name: scores[name] for name in _SCORES},
        "machine": workspace.measured("train")["machine"],
    }


def add_run(path: Path, params: Params, run: dict[str, Any]) -> None:
    """Put `run` into the file, in place of an earlier one of its share and seed."""
    runs = {(old["share"], old["seed"]): old for old in read_runs(path, params) or ()}
    runs[run["share"], run["seed"]] = run
    write_runs(path, params, [runs[key] for key in sorted(runs)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and measure each share with each seed.

    Raises:
        InputError: the params are not valid, or the file has runs with other ones.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--viggo", type=Path, help="the folder of ViGGO's CSV files; without it they come from the profile's source"
    )
    parser.add_argument("--params", type=Path, default=Path("profiles/smollm2-135m.yaml"))
    parser.add_argument("--shares", type=positive(float), nargs="+", default=_SHARES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--members", type=int, default=1, help="train.soup_members: more take so many times as long")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="test: for the final figures alone")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/low_resource.json"))
    parser.add_argument("--root", type=Path, default=Path("runs/low-resource"), help="where the stages run")
    options = parser.parse_args(arguments)
    profile = read_profile(options.params, options.viggo)
    params = changed(
        changed(profile, **ONE_ADAPTER),
        train={"soup_members": options.members, "soup_rank": profile["train"]["soup_rank"] if options.members > 1 else None},
        generate={"split": options.split},
    )
    setting = common(params, "train_share", "train_share_seed")
    read_runs(options.out, setting)  # before minutes are spent
    for seed in options.seeds:
        for share in options.shares:
            run = measure(params, share, seed, options.root)
            add_run(options.out, setting, run)
            print(f"{share:.0%}, seed {seed}: {run['rows']:,} rows, exact match {run['exact_match']:.3f}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"low_resource: {error}") from error
