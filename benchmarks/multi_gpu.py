"""Compare training at Mistral-7B's size on two GPUs and on one: losses and speed, at equal rows a step.

python benchmarks/multi_gpu.py MODEL VIGGO [--methods ...] [--out benchmarks/results/multi_gpu.json]

MODEL is a folder that benchmarks/mistral_shape.py wrote, or another one with weights in transformers' format;
VIGGO the folder of ViGGO's CSV files. All methods run the profile mistral-7b without CUDA graphs, which need
one process, and with what the method's name says. An optimizer step takes 32 packs of 512 tokens.
`loss_difference` is the largest difference between a step's loss and that of one process with the same
layers. It is not 0: sums in another order round differently, and fused layers round in bf16. One process with
half the batch shows how large such rounding is. Speed is the sum over processes, memory the largest of them.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from accelerate.utils import gather_object
from isolated_run import add_arguments, run
from step_timer import StepTimer
from viggo_rows import changed, encoder_for, profile_for, read_split

from viggo_pipe.models.loading import load_model
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.distributed import is_main_process, process_group, processes_to_start, world_size
from viggo_pipe.training.fsdp import make_shardable
from viggo_pipe.training.launch import run_in_processes
from viggo_pipe.training.lora import add_adapter
from viggo_pipe.training.train import build_trainer, prepare_for_training

_PACKS, _BATCH, _FEWER = 32, 8, 4  # of an optimizer step, of a forward pass
_STEPS = 1000  # for the learning-rate schedule: the timer stops training long before
_ALL = {
    "per_device_train_batch_size": _BATCH,
    "max_steps": _STEPS,
    "num_train_epochs": None,
    "eval_steps": None,
    "logging_steps": 1,
    "cuda_graph": False,
}
_PLAIN = {"fuse_lora": False, "torch_compile": False}
_CHANGES = {
    "1 process": _PLAIN,
    "1 process, batches of 4": {**_PLAIN, "per_device_train_batch_size": _FEWER},
    "2 processes, DDP": {**_PLAIN, "num_processes": 2},
    "2 processes, FSDP": {**_PLAIN, "num_processes": 2, "fsdp": True},
    "1 process, fused and compiled": {},
    "2 processes, DDP, fused and compiled": {"num_processes": 2},
}
_REFERENCE = dict.fromkeys(("1 process, batches of 4", "2 processes, DDP", "2 processes, FSDP"), "1 process")
_REFERENCE["2 processes, DDP, fused and compiled"] = "1 process, fused and compiled"


def settings(method: str, params):
    """Section train for one of the methods."""
    changes = _ALL | _CHANGES[method]
    rows = changes["per_device_train_batch_size"] * changes.get("num_processes", 1)
    return changed(params.train, **changes, gradient_accumulation_steps=_PACKS // rows)


def measure(method: str, options: argparse.Namespace) -> dict:
    """Run one process's part of a method; return the figures of all processes together."""
    params, base = profile_for(options.model, options.viggo)
    train = settings(method, params)
    with process_group(train), tempfile.TemporaryDirectory() as scratch:
        encoder = encoder_for(params, base)
        rows = [
            encoder.example(row["sentence"], row["meaning_representation"])
            for row in read_split(params, "train")
        ]
        model = load_model(base, params.quantize)
        if train.fsdp:
            make_shardable(model)
        model = add_adapter(model, params.lora, train)
        prepare_for_training(model, train)
        trainer = build_trainer(
            model,
            TokenRows.of_examples(rows),
            TokenRows.of_examples(rows[:64]),
            encoder.tokenizer.pad_token_id,
            train,
            params.runtime,
            Path(scratch),
        )
        timer = StepTimer(trainer.data_collator, _tokens, train.gradient_accumulation_steps, options.windows)
        figures = timer.train(trainer)
        every = gather_object([figures]) if world_size() > 1 else [figures]
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    summed = {name: sum(one[name] for one in every) for name in figures if name != "peak_gpu_memory_gb"}
    return {**summed, "peak_gpu_memory_gb": max(one["peak_gpu_memory_gb"] for one in every), "losses": losses}


def _tokens(packs: list) -> int:
    return sum(len(row["input_ids"]) for pack in packs for row in pack)


def compare(out: Path) -> None:
    """Add to the figures in `out` how much each method's losses differ from those of one process."""
    results = json.loads(out.read_text(encoding="utf-8"))
    for method, alone in _REFERENCE.items():
        found, expected = (results["methods"].get(name, {}).get("losses") for name in (method, alone))
        if found and expected:
            difference = max(abs(one - other) for one, other in zip(found, expected, strict=False))
            results["methods"][method]["loss_difference"] = float(f"{difference:.2g}")
            print(f"{method}: losses within {difference:.2g} of those of {alone}")
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def main(options: argparse.Namespace) -> int:
    """Run the chosen methods, each in its processes; return the exit status."""
    methods = {method: partial(measure, method) for method in _CHANGES}
    if not options.here:
        run(options, methods, __file__)
        compare(options.out)
        return 0

    def part() -> None:
        figures = methods[options.methods[0]](options)
        if is_main_process():
            print(json.dumps(figures), flush=True)

    def processes() -> int:
        return processes_to_start(settings(options.methods[0], profile_for(options.model, options.viggo)[0]))

    return run_in_processes("multi_gpu", part, processes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, _CHANGES, Path("benchmarks/results/multi_gpu.json"))
    parser.add_argument("--windows", type=int, default=3, help="number of timed windows")
    sys.exit(main(parser.parse_args()))
