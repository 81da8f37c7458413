"""Time training at Mistral-7B's size on ViGGO: this pipeline and others, each in a process of its own.

python benchmarks/training.py MODEL VIGGO [--methods ours ...] [--out benchmarks/results/training.json]

MODEL is a folder that benchmarks/mistral_shape.py wrote, VIGGO the folder of ViGGO's CSV files. All methods
train a LoRA adapter of the same rank on the same layers of the same NF4 weights, without dropout, on the same
rows. A figure is the median over windows of optimizer steps after a warm-up. Padding is not counted. For our
methods, the kernels of two more steps are profiled.
"""

from unsloth_peer import load_with_unsloth  # noqa: I001 (before the libraries that it patches)
import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch
import transformers
from isolated_run import add_arguments, peer_versions, run
from step_timer import StepTimer
from datasets import Dataset
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, Trainer, TrainingArguments
from viggo_rows import changed, encoder_for, profile_for, read_split

from viggo_pipe.models.loading import load_model
from viggo_pipe.tokens.collate import IGNORED
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.lora import add_adapter
from viggo_pipe.training.train import build_trainer, prepare_for_training

_WINDOWS, _PROFILED = 5, 2
_STEPS = 1000  # for the learning-rate schedule: the timer stops training long before
_RANK, _ALPHA = 16, 32


def ours(params, base, rows, windows: int, **changes) -> dict:
    """This pipeline: the profile with `changes` to its section train."""
    train = changed(params.train, max_steps=_STEPS, num_train_epochs=None, eval_steps=None, **changes)
    model = add_adapter(load_model(base, params.quantize), params.lora, train)
    prepare_for_training(model, train)
    pad_token_id = encoder_for(params, base).tokenizer.pad_token_id
    with tempfile.TemporaryDirectory() as scratch:
        some = (TokenRows.of_examples(rows), TokenRows.of_examples(rows[:64]))
        trainer = build_trainer(model, *some, pad_token_id, train, params.runtime, Path(scratch))
        batches = train.gradient_accumulation_steps
        timer = StepTimer(trainer.data_collator, _tokens_of_packs, batches, windows, _PROFILED)
        return timer.train(trainer)


def padded(params, base, rows, windows: int, batch_size: int, prepared: bool = False, **arguments) -> dict:
    """transformers' Trainer with padded batches."""
    model = load_model(base, params.quantize)
    if prepared:
        model = prepare_model_for_kbit_training(model)
    model = get_peft_model(model, _lora())
    tokenizer = encoder_for(params, base).tokenizer
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=_arguments(scratch, batch_size, **arguments),
            train_dataset=Dataset.from_list(
                [{**_labelled(row), "length": len(row["input_ids"])} for row in rows]
            ),
            processing_class=tokenizer,
        )
        return StepTimer(DataCollatorForSeq2Seq(tokenizer), _tokens_of_rows, 1, windows).train(trainer)


def trl(params, base, rows, windows: int, **arguments) -> dict:
    """TRL's SFTTrainer with packing and the loss on the answers."""
    return _sft(
        get_peft_model(load_model(base, params.quantize), _lora()), params, base, rows, windows, **arguments
    )


def unsloth_sft(params, base, rows, windows: int, length: int, **arguments) -> dict:
    """The same with Unsloth's kernels."""
    model = load_with_unsloth(base, length, _RANK, _ALPHA)
    return _sft(model, params, base, rows, windows, length=length, **arguments)


def _sft(
    model: PreTrainedModel, params, base, rows, windows: int, batch_size: int, length: int, **arguments
) -> dict:
    from trl import SFTConfig, SFTTrainer

    data = [
        {
            "input_ids": row["input_ids"],
            "completion_mask": [int(i >= row["answer_start"]) for i in range(len(row["input_ids"]))],
        }
        for row in rows
    ]
    packing = {
        "packing": True,
        "max_length": length,
        "completion_only_loss": True,
        "gradient_checkpointing": False,
    }
    with tempfile.TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            args=_arguments(scratch, batch_size, SFTConfig, **packing, **arguments),
            train_dataset=Dataset.from_list(data),
            processing_class=encoder_for(params, base).tokenizer,
        )
        figures = StepTimer(trainer.data_collator, _tokens_of_rows, 1, windows).train(trainer)
    return figures | peer_versions()


def _lora() -> LoraConfig:
    return LoraConfig(
        r=_RANK, lora_alpha=_ALPHA, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def _labelled(row: dict) -> dict[str, list[int]]:
    answer = row["input_ids"][row["answer_start"] :]
    return {
        "input_ids": row["input_ids"],
        "attention_mask": [1] * len(row["input_ids"]),
        "labels": [IGNORED] * row["answer_start"] + answer,
    }


def _arguments(folder: str, batch_size: int, kind: type = TrainingArguments, **others) -> TrainingArguments:
    return kind(
        output_dir=folder,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=1,  # of which Unsloth makes 2
        max_steps=_STEPS,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **others,
    )


def _tokens_of_rows(rows: list[dict]) -> int:
    return sum(len(row["input_ids"]) for row in rows)


def _tokens_of_packs(packs: list) -> int:
    return sum(map(_tokens_of_rows, packs))


_CHECKPOINTING = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
_BY_LENGTH = {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}
_LARGE = {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 1}
_LIMITED = {"ours, 24 GB": 24, "ours, 16 GB": 16}
METHODS = {
    "ours, float8": partial(ours, **_LARGE, float8=True),
    "ours": partial(ours, **_LARGE),
    "ours, 24 GB": partial(ours, per_device_train_batch_size=8, gradient_accumulation_steps=4),
    "ours, 16 GB": partial(ours, per_device_train_batch_size=4, gradient_accumulation_steps=8),
    "seed's recipe": partial(padded, batch_size=1, prepared=True, **_CHECKPOINTING, optim="paged_adamw_8bit"),
    "Trainer, padded": partial(padded, batch_size=32, **_BY_LENGTH),
    "Trainer, padded, checkpointing": partial(padded, batch_size=128, **_CHECKPOINTING, **_BY_LENGTH),
    "TRL, packing": partial(trl, batch_size=4, length=1024),
    "TRL, packing, Liger": partial(trl, batch_size=4, length=1024, use_liger_kernel=True),
    "TRL, packing, Liger, 8 rows": partial(trl, batch_size=8, length=1024, use_liger_kernel=True),
    "Unsloth, packing": partial(unsloth_sft, batch_size=4, length=1024),
}


def measure(method: str, options: argparse.Namespace) -> dict:
    """Run one of METHODS in this process, within the GPU memory that its name says."""
    if method in _LIMITED and torch.cuda.is_available():
        context = 0.6e9  # CUDA's own, outside torch's allocator
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((_LIMITED[method] * 1e9 - context) / total)
    params, base = profile_for(options.model, options.viggo)
    encoder = encoder_for(params, base)
    rows = [
        encoder.example(row["sentence"], row["meaning_representation"]) for row in read_split(params, "train")
    ]
    transformers.set_seed(0)
    return METHODS[method](params, base, rows, options.windows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, METHODS, Path("benchmarks/results/training.json"))
    parser.add_argument("--windows", type=int, default=_WINDOWS, help="number of timed windows")
    run(parser.parse_args(), {method: partial(measure, method) for method in METHODS}, __file__)
