"""Time the stages train and predict of a profile, from tokenized ViGGO to the tuned model's answers.

python benchmarks/end_to_end.py VIGGO [--params profiles/smollm2-135m.yaml] [--out
benchmarks/results/end_to_end.json]

VIGGO is the folder of ViGGO's CSV files. The seconds are those of whole processes: they include imports and
loading the model.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from isolated_run import Results, add_methods, alone
from workspace import ONE_ADAPTER, Workspace, changed, read_profile

_STAGES = {"train": ("train", "training_seconds"), "predict": ("predict-tuned", "generation_seconds")}
METHODS = {
    "as the profile has it": {},
    "not compiled": {"train": {"torch_compile": False}},
    "one adapter": ONE_ADAPTER,
    "one adapter, not compiled": {**ONE_ADAPTER, "train": {**ONE_ADAPTER["train"], "torch_compile": False}},
}


def measure(workspace: Workspace) -> dict[str, float]:
    """The seconds and the memory of the stages, and the exact match of the answers."""
    workspace.run("fetch", "tokenize")
    seconds = {}
    with alone():
        for name, (stage, _) in _STAGES.items():
            started = time.perf_counter()
            workspace.run(stage)
            seconds[name] = time.perf_counter() - started
    runs = [workspace.measured(stage) for stage, _ in _STAGES.values()]
    training, generation = (workspace.measured(stage)[key] for stage, key in _STAGES.values())
    matches = workspace.matches("tuned")
    return {
        "seconds": round(sum(seconds.values()), 1),
        **{f"{name}_seconds": round(taken, 1) for name, taken in seconds.items()},
        "training_loop_seconds": round(training, 3),
        "generation_seconds": round(generation, 3),
        "examples": len(matches),
        "exact_match": round(statistics.fmean(matches), 4),
        "peak_memory_mib": max(run["peak_memory_mib"] for run in runs),
        "peak_gpu_memory_mib": max(run.get("peak_gpu_memory_mib", 0) for run in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("viggo", type=Path, help="folder of ViGGO's CSV files")
    parser.add_argument(
        "--params", type=Path, default=Path(__file__).parents[1] / "profiles/smollm2-135m.yaml"
    )
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="to predict")
    add_methods(parser, METHODS, Path("benchmarks/results/end_to_end.json"))
    options = parser.parse_args()
    params = changed(read_profile(options.params, options.viggo), generate={"split": options.split})
    for method in options.methods:
        with tempfile.TemporaryDirectory() as root:
            workspace = Workspace(changed(params, **METHODS[method]), Path(root))
            figures = measure(workspace)
            Results(options.out, workspace.measured("train")["machine"]).add(method, figures)


if __name__ == "__main__":
    main()
