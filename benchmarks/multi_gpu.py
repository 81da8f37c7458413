"""Training at Mistral-7B's size on two GPUs beside one: the same rows a step, the same losses, and how fast.

python benchmarks/multi_gpu.py MODEL VIGGO [--methods ...] [--out benchmarks/results/multi_gpu.json]

MODEL is a folder that benchmarks/mistral_shape.py wrote, or another one with weights in transformers' format; VIGGO the folder
of ViGGO's CSV files. All methods take 32 packs of 512 tokens an optimizer step, in NF4, as the profile mistral-7b has it but
for what the method's name says, and for CUDA graphs, which several processes cannot have. `loss_difference` is the largest
between a step's loss and that of one process with the same layers: sums in another order round otherwise, and what folded
layers round, they round in bf16. One process with batches of half the size says how much such rounding comes to. Speed is
summed over the processes; memory is that of the one that took most.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from accelerate.utils import gather_object
from apart import add_arguments, run
from clock import Clock
from viggo_rows import encoder_for, profile_for, read_split

from viggo_pipe.distributed import is_first, processes_to_start, together, world_size
from viggo_pipe.launcher import run_in_processes
from viggo_pipe.lora import add_adapter
from viggo_pipe.model_loading import load_model
from viggo_pipe.sharding import make_shardable
from viggo_pipe.training import build_trainer, prepare_for_training

_PACKS, _BATCH, _FEWER = 32, 8, 4  # of an optimizer step, of a forward pass
_STEPS = 1000  # for the schedule of learning rates: the clock stops training long before
_ALL = {"batch_size": _BATCH, "max_steps": _STEPS, "epochs": None, "eval_steps": None, "log_steps": 1, "cuda_graph": False}
_PLAIN = {"fold_adapter": False, "compile": False}
_CHANGES = {
    "1 process": _PLAIN,
    "1 process, batches of 4": {**_PLAIN, "batch_size": _FEWER},
    "2 processes, DDP": {**_PLAIN, "processes": 2},
    "2 processes, FSDP": {**_PLAIN, "processes": 2, "sharding": "full"},
    "1 process, folded and compiled": {},
    "2 processes, DDP, folded and compiled": {"processes": 2},
}
_ALONE = dict.fromkeys(("1 process, batches of 4", "2 processes, DDP", "2 processes, FSDP"), "1 process")
_ALONE["2 processes, DDP, folded and compiled"] = "1 process, folded and compiled"


def settings(method: str, params):
    """Section train for one of the methods."""
    changes = _ALL | _CHANGES[method]
    accumulation = _PACKS // changes["batch_size"] // changes.get("processes", 1)
    return params.train.model_copy(update={**changes, "accumulation": accumulation})


def measure(method: str, options: argparse.Namespace) -> dict:
    """Run a method's part of one process; the figures of all processes together."""
    params, base = profile_for(options.model, options.viggo)
    train = settings(method, params)
    with together(train), tempfile.TemporaryDirectory() as scratch:
        encoder = encoder_for(params, base)
        rows = [encoder.example(row["sentence"], row["meaning_representation"]) for row in read_split(params, "train")]
        model = load_model(base, params.quantize)
        if train.sharding is not None:
            make_shardable(model)
        model = add_adapter(model, params.lora, train)
        prepare_for_training(model, train)
        trainer = build_trainer(model, rows, rows[:64], encoder.tokenizer.pad_token_id, train, params.runtime, Path(scratch))
        clock = Clock(trainer.data_collator, _tokens, train.accumulation, options.windows)
        figures = clock.train(trainer)
        every = gather_object([figures]) if world_size() > 1 else [figures]
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    summed = {name: sum(one[name] for one in every) for name in figures if name != "peak_gpu_memory_gb"}
    return {**summed, "peak_gpu_memory_gb": max(one["peak_gpu_memory_gb"] for one in every), "losses": losses}


def _tokens(packs: list) -> int:
    return sum(len(row["input_ids"]) for pack in packs for row in pack)


def compare(out: Path) -> None:
    """Add to the figures in `out` how far each method's losses are from those of one process, and print it."""
    results = json.loads(out.read_text(encoding="utf-8"))
    for method, alone in _ALONE.items():
        found, expected = (results["methods"].get(name, {}).get("losses") for name in (method, alone))
        if found and expected:
            difference = max(abs(one - other) for one, other in zip(found, expected, strict=False))
            results["methods"][method]["loss_difference"] = float(f"{difference:.2g}")
            print(f"{method}: losses within {difference:.2g} of those of {alone}")
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def main(options: argparse.Namespace) -> int:
    """Run the methods asked for, each in its processes; the exit status."""
    methods = {method: partial(measure, method) for method in _CHANGES}
    if not options.here:
        run(options, methods, __file__)
        compare(options.out)
        return 0

    def part() -> None:
        figures = methods[options.methods[0]](options)
        if is_first():
            print(json.dumps(figures), flush=True)

    def processes() -> int:
        return processes_to_start(settings(options.methods[0], profile_for(options.model, options.viggo)[0]))

    return run_in_processes("multi_gpu", part, processes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, _CHANGES, Path("benchmarks/results/multi_gpu.json"))
    parser.add_argument("--windows", type=int, default=3, help="windows of steps that are timed")
    sys.exit(main(parser.parse_args()))
