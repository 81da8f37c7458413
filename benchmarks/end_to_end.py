"""From tokenized ViGGO to a tuned model's metrics: the stages train, predict and score of a profile, one after another.

python benchmarks/end_to_end.py VIGGO [--params profiles/smollm2-135m.yaml] [--out benchmarks/results/end_to_end.json]

VIGGO is the folder of ViGGO's CSV files. Seconds are those of whole processes, imports and the loading of the model included.
"""

import argparse
import tempfile
import time
from pathlib import Path

from apart import Results, alone
from workspace import ONE_ADAPTER, Workspace, changed, read_profile

_STAGES = {"train": "train", "predict": "predict-tuned", "score": "score-tuned"}
_WITHOUT_IMPORTS = {"train": "training", "predict-tuned": "generation"}
METHODS = {
    "as the profile has it": {},
    "not compiled": {"train": {"compile": False}},
    "one adapter": ONE_ADAPTER,
    "one adapter, not compiled": {**ONE_ADAPTER, "train": {**ONE_ADAPTER["train"], "compile": False}},
}


def measure(workspace: Workspace) -> dict[str, float]:
    """The seconds of each stage and of all, what they came to, and the memory that they took."""
    workspace.run("fetch", "tokenize")
    seconds = {}
    with alone():
        for name, stage in _STAGES.items():
            started = time.perf_counter()
            workspace.run(stage)
            seconds[name] = time.perf_counter() - started
    memory = [workspace.measured(stage) for stage in _STAGES.values()]
    steps, generation = (workspace.measured(stage)[f"{what}_seconds"] for stage, what in _WITHOUT_IMPORTS.items())
    metrics = workspace.metrics("tuned")
    return {
        "seconds": round(sum(seconds.values()), 1),
        **{f"{name}_seconds": round(taken, 1) for name, taken in seconds.items()},
        "training_loop_seconds": round(steps, 3),
        "generation_seconds": round(generation, 3),
        "examples": metrics["examples"],
        "exact_match": metrics["exact_match"],
        "peak_memory_mib": max(run["peak_memory_mib"] for run in memory),
        "peak_gpu_memory_mib": max(run.get("peak_gpu_memory_mib", 0) for run in memory),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("viggo", type=Path, help="the folder of ViGGO's CSV files")
    parser.add_argument("--params", type=Path, default=Path(__file__).parents[1] / "profiles/smollm2-135m.yaml")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="what is predicted and scored")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/end_to_end.json"))
    options = parser.parse_args()
    params = changed(read_profile(options.params, options.viggo), generate={"split": options.split})
    for method in options.methods:
        with tempfile.TemporaryDirectory() as root:
            workspace = Workspace(changed(params, **METHODS[method]), Path(root))
            figures = measure(workspace)
            Results(options.out, workspace.measured("train")["machine"]).add(method, figures)


if __name__ == "__main__":
    main()
