"""Names that params.yaml had in earlier versions, and what they are called now."""

from pathlib import Path
from typing import Any

from viggo_pipe.core.errors import InputError

RENAMED = {
    "probe": "robustness",
    "lora.alpha": "lora.lora_alpha",
    "lora.dropout": "lora.lora_dropout",
    "train.loss_on": "train.completion_only_loss (answer: true, all: false)",
    "train.epochs": "train.num_train_epochs",
    "train.compile": "train.torch_compile",
    "train.fold_adapter": "train.fuse_lora",
    "train.deterministic": "train.full_determinism",
    "train.processes": "train.num_processes",
    "train.sharding": "train.fsdp (full: true, null: false)",
    "train.batch_size": "train.per_device_train_batch_size",
    "train.accumulation": "train.gradient_accumulation_steps",
    "train.eval_batch_size": "train.per_device_eval_batch_size",
    "train.log_steps": "train.logging_steps",
    "train.keep_best": "train.load_best_model_at_end",
    "train.schedule": "train.lr_scheduler_type",
    "train.warmup": "train.warmup_steps",
    "train.optimizer": "train.optim",
    "train.group_by_length": "train.train_sampling_strategy (true: group_by_length, false: random)",
    "generate.alternatives": "generate.rerank",
    "generate.reverse_weight": "generate.channel_weight",
    "runtime.checkpoint_steps": "runtime.save_steps",
}


def check_names(content: dict[str, Any], path: str | Path) -> None:
    """Refuse names of earlier versions.

    Raises:
        InputError: `content`, which was read from `path`, has such names. The line says the new ones.
    """
    names = []
    for section, keys in content.items():
        names.append(section)
        names += [f"{section}.{key}" for key in keys] if isinstance(keys, dict) else []
    renamed = [f"{name} to {RENAMED[name]}" for name in names if name in RENAMED]
    if renamed:
        raise InputError(f"{path} has names of an earlier version: rename {', '.join(renamed)}")
