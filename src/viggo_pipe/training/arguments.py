"""Section train of params.yaml in the words of transformers' Trainer."""

from typing import Any

import torch
from transformers import TrainingArguments

from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.training.fsdp import FSDP_CONFIG, NOTHING_CAST


def training_arguments(settings: TrainSettings, folder: str, autocast: bool) -> TrainingArguments:
    """The Trainer's arguments for section train, with its output in `folder`; `autocast`: a GPU multiplies in
    bf16.

    Raises:
        InputError: the Trainer refuses a setting.
    """
    try:
        arguments = TrainingArguments(
            output_dir=folder,
            seed=settings.seed,
            data_seed=settings.seed,
            num_train_epochs=settings.num_train_epochs or 1,
            max_steps=settings.max_steps or -1,
            per_device_train_batch_size=settings.per_device_train_batch_size,
            per_device_eval_batch_size=settings.per_device_eval_batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.lr_scheduler_type,
            warmup_steps=settings.warmup_steps,
            optim=settings.optim,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            gradient_checkpointing=settings.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
            train_sampling_strategy=settings.train_sampling_strategy,
            eval_strategy="no" if settings.eval_steps is None else "steps",
            eval_steps=settings.eval_steps,
            save_strategy="best" if settings.load_best_model_at_end else "no",
            load_best_model_at_end=settings.load_best_model_at_end,
            metric_for_best_model="eval_loss",
            logging_steps=settings.logging_steps,
            logging_nan_inf_filter=False,
            prediction_loss_only=True,
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            # The adapter is kept in fp32; a GPU multiplies it in bf16, a CPU would cast it anew each time.
            bf16=autocast and torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
            fsdp=settings.fsdp,  # pyright: ignore[reportArgumentType] (transformers takes a flag, too)
            fsdp_config={**FSDP_CONFIG} if settings.fsdp else None,
            ddp_find_unused_parameters=False,
            ddp_broadcast_buffers=False,  # they are alike anyway, and NF4's scales are among them
        )
    except ValueError as error:
        raise InputError(f"section train: {one_line(error)}") from error
    if settings.fsdp:
        plugin: Any = arguments.fsdp_plugin_args
        plugin["mixed_precision_policy"] = NOTHING_CAST  # fsdp_config has no word for it
    # One process would otherwise spread each batch over all the GPUs that it sees, by DataParallel.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
