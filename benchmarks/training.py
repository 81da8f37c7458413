"""Training at Mistral-7B's size on ViGGO: this pipeline beside the usual ways, each in a process of its own.

python benchmarks/training.py MODEL VIGGO [--methods ours ...] [--out benchmarks/results/training.json]

MODEL is a folder that benchmarks/mistral_shape.py wrote, VIGGO the folder of ViGGO's CSV files. All methods train a LoRA adapter
of the same rank on the same layers of the same NF4 weights, without dropout and on the same rows. A method's figure is the median
over windows of some optimizer steps, after the first ones; tokens are real ones, no padding. "ours" also says what its last two
steps spent the GPU's time on, by kernel.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import transformers
from apart import add_arguments, run
from datasets import Dataset
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from viggo_rows import encoder_for, profile_for, read_split

from viggo_pipe.collation import IGNORED
from viggo_pipe.lora import add_adapter
from viggo_pipe.model_loading import load_model
from viggo_pipe.training import build_trainer, prepare_for_training

_WARM_UP, _WINDOW, _WINDOWS, _PROFILED = 4, 3, 5, 2
_STEPS = _WARM_UP + _WINDOW * _WINDOWS + _PROFILED
_RANK = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


class Clock(TrainerCallback):
    """Counts the real tokens of each batch that is made, and times the optimizer steps."""

    def __init__(self, collate: Callable, count: Callable[[list, dict], int], accumulation: int):
        self._collate, self._count, self._accumulation = collate, count, accumulation
        self._tokens: list[int] = []
        self._ends: list[float] = []
        self._profiler = torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else None
        )

    def __call__(self, rows: list) -> dict[str, torch.Tensor]:
        batch = self._collate(rows)
        self._tokens.append(self._count(rows, batch))
        return batch

    def on_step_end(self, args, state, control, **kwargs):
        torch.cuda.synchronize()
        self._ends.append(time.perf_counter())
        if len(self._ends) == _STEPS - _PROFILED:
            self._profiler.start()
        elif len(self._ends) == _STEPS:
            self._profiler.stop()

    def kernels(self, most: int = 30) -> dict[str, float]:
        """Milliseconds a step by kernel, of the `most` that take longest, and of the `rest`."""
        times = {event.key: event.self_device_time_total / 1e3 / _PROFILED for event in self._profiler.key_averages()}
        longest = sorted(times, key=times.get, reverse=True)
        shown = {key[:120]: round(times[key], 2) for key in longest[:most]}
        return {**shown, "rest": round(sum(times[key] for key in longest[most:]), 2)}

    def figures(self) -> dict[str, float]:
        per_step = [sum(self._tokens[i : i + self._accumulation]) for i in range(0, len(self._tokens), self._accumulation)]
        rates = []
        for start in range(_WARM_UP, _STEPS - _PROFILED, _WINDOW):
            seconds = self._ends[start + _WINDOW - 1] - self._ends[start - 1]
            rates.append(sum(per_step[start : start + _WINDOW]) / seconds)
        return {
            "tokens_per_second": round(statistics.median(rates)),
            "lowest": round(min(rates)),
            "highest": round(max(rates)),
            "tokens_per_step": round(statistics.mean(per_step[_WARM_UP : _STEPS - _PROFILED])),
            "peak_gpu_memory_gb": round(torch.cuda.max_memory_reserved() / 1e9, 1),
        }


def ours(params, base, rows, **changes) -> dict[str, float]:
    """This pipeline, as the profile has it, with `changes` to its section train."""
    train = params.train.model_copy(update={"max_steps": _STEPS, "epochs": None, "eval_steps": None, **changes})
    model = add_adapter(load_model(base, params.quantize), params.lora, train)
    prepare_for_training(model, train)
    pad_token_id = encoder_for(params, base).tokenizer.pad_token_id
    with tempfile.TemporaryDirectory() as scratch:
        trainer = build_trainer(model, rows, rows[:64], pad_token_id, train, params.runtime, Path(scratch))
        clock = Clock(trainer.data_collator, _packed_tokens, train.accumulation)
        return {**_train(trainer, clock), "kernels": clock.kernels()}


def _packed_tokens(packs: list, batch: dict) -> int:
    return sum(len(row["input_ids"]) for pack in packs for row in pack)


def _train(trainer: Trainer, clock: Clock) -> dict[str, float]:
    trainer.data_collator = clock
    trainer.add_callback(clock)
    trainer.train()
    return clock.figures()


def padded(params, base, rows, batch_size: int, prepared: bool = False, **arguments) -> dict[str, float]:
    """transformers' Trainer with batches of rows of like length, padded."""
    model = load_model(base, params.quantize)
    if prepared:
        model = prepare_model_for_kbit_training(model)
    model = get_peft_model(model, LoraConfig(**_RANK))
    tokenizer = encoder_for(params, base).tokenizer
    trainer = Trainer(
        model=model,
        args=_arguments(batch_size, **arguments),
        train_dataset=Dataset.from_list([{**_labelled(row), "length": len(row["input_ids"])} for row in rows]),
        processing_class=tokenizer,
    )
    clock = Clock(DataCollatorForSeq2Seq(tokenizer), lambda rows, batch: int(batch["attention_mask"].sum()), 1)
    return _train(trainer, clock)


def _labelled(row: dict) -> dict[str, list[int]]:
    answer = row["input_ids"][row["answer_start"] :]
    return {
        "input_ids": row["input_ids"],
        "attention_mask": [1] * len(row["input_ids"]),
        "labels": [IGNORED] * row["answer_start"] + answer,
    }


def _arguments(batch_size: int, kind: type = TrainingArguments, **others):
    return kind(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=batch_size,
        max_steps=_STEPS,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=others.pop("remove_unused_columns", True),
        **others,
    )


def trl(params, base, rows, batch_size: int, length: int, **arguments) -> dict[str, float]:
    """TRL's SFTTrainer with packing, completion-only loss."""
    from trl import SFTConfig, SFTTrainer

    model = get_peft_model(load_model(base, params.quantize), LoraConfig(**_RANK))
    return _sft(SFTTrainer, SFTConfig, model, params, base, rows, batch_size, length, **arguments)


def _sft(trainer_class, config_class, model: PreTrainedModel, params, base, rows, batch_size, length, **arguments):
    tokenizer = encoder_for(params, base).tokenizer
    data = [
        {"input_ids": row["input_ids"], "completion_mask": [int(i >= row["answer_start"]) for i in range(len(row["input_ids"]))]}
        for row in rows
    ]
    config = _arguments(
        batch_size, config_class, packing=True, max_length=length, completion_only_loss=True, dataset_num_proc=None, **arguments
    )
    trainer = trainer_class(model=model, args=config, train_dataset=Dataset.from_list(data), processing_class=tokenizer)
    pad = tokenizer.pad_token_id
    clock = Clock(trainer.data_collator, lambda rows, batch: int((batch["input_ids"] != pad).sum()), 1)
    return _train(trainer, clock)


def unsloth(params, base, rows, batch_size: int, length: int, **arguments) -> dict[str, float]:
    """Unsloth's kernels under its SFTTrainer, with packing."""
    from trl import SFTConfig, SFTTrainer
    from unsloth import FastLanguageModel, UnslothTrainer, UnslothTrainingArguments  # noqa: F401 (patches what comes after)

    model, _ = FastLanguageModel.from_pretrained(
        str(base.folder), max_seq_length=length, load_in_4bit=True, dtype=torch.bfloat16, local_files_only=True
    )
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = FastLanguageModel.get_peft_model(
        model, r=16, lora_alpha=32, lora_dropout=0, target_modules=targets, use_gradient_checkpointing=False
    )
    return _sft(SFTTrainer, SFTConfig, model, params, base, rows, batch_size, length, **arguments)


_CHECKPOINTING = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
_BY_LENGTH = {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}
_LIMITED = {"ours, 24 GB": 24, "ours, 16 GB": 16, "ours, 16 GB, 3 rows": 16}
METHODS = {
    "seed's recipe": lambda *given: padded(*given, batch_size=1, prepared=True, **_CHECKPOINTING, optim="paged_adamw_8bit"),
    "Trainer, padded": lambda *given: padded(*given, batch_size=64, **_BY_LENGTH),
    "Trainer, padded, checkpointing": lambda *given: padded(*given, batch_size=128, **_CHECKPOINTING, **_BY_LENGTH),
    "TRL, packing": lambda *given: trl(*given, batch_size=4, length=1024),
    "TRL, packing, Liger": lambda *given: trl(*given, batch_size=4, length=1024, use_liger_kernel=True),
    "Unsloth, packing": lambda *given: unsloth(*given, batch_size=4, length=1024),
    "ours, float8": lambda *given: ours(*given, batch_size=32, accumulation=1, float8=True),
    "ours": lambda *given: ours(*given, batch_size=32, accumulation=1),
    "ours, 24 GB": lambda *given: ours(*given, batch_size=6, accumulation=5),
    "ours, 16 GB": lambda *given: ours(*given, batch_size=4, accumulation=8),
    "ours, 16 GB, 3 rows": lambda *given: ours(*given, batch_size=3, accumulation=10),
}


def measure(method: str, folder: Path, viggo: Path) -> dict[str, float]:
    """Run one of METHODS in this process; memory is held to what its name says."""
    if method in _LIMITED:
        context = 0.6e9  # what CUDA itself takes, beside torch's allocator
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((_LIMITED[method] * 1e9 - context) / total)
    params, base = profile_for(folder, viggo)
    encoder = encoder_for(params, base)
    rows = [encoder.example(row["sentence"], row["meaning_representation"]) for row in read_split(params, "train")]
    transformers.set_seed(0)
    return METHODS[method](params, base, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, METHODS, Path("benchmarks/results/training.json"))
    run(parser.parse_args(), {method: partial(measure, method) for method in METHODS}, __file__)
