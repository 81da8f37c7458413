"""QLoRA training through transformers' Trainer."""

import copy
import pickle
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers.trainer_callback import PrinterCallback, TrainerState

from viggo_pipe.config.settings.runtime import RuntimeSettings
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import explaining_full_disk
from viggo_pipe.tokens.collate import CausalCollator
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.prompt import Example
from viggo_pipe.training.arguments import training_arguments
from viggo_pipe.training.callback import TrainingCallback
from viggo_pipe.training.compile import compile_layers
from viggo_pipe.training.distributed import broadcast_from_main, world_size
from viggo_pipe.training.distributed_trainer import DistributedTrainer
from viggo_pipe.training.fsdp import gather_adapter
from viggo_pipe.training.fused_lora import fuse_lora
from viggo_pipe.training.gpu import has_float8, has_gpu
from viggo_pipe.training.graphed_trainer import GraphedTrainer
from viggo_pipe.training.packed_attention import take_packs
from viggo_pipe.training.packing import Pack, PackCollator, Packs, pack_rows
from viggo_pipe.training.resumable_trainer import ResumableTrainer, last_complete_checkpoint, step_of
from viggo_pipe.training.rows import check_rows, with_something_to_learn


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves behind.

    Attributes:
        model: the model with the trained adapter: the best one on validation under `load_best_model_at_end`,
            else the last one.
        losses: the loss curve: `step` with `train_loss` or `validation_loss`, the other one being an empty
            string.
        validation_loss: the loss on validation that `model` has.
        tokens: real (non-padding) tokens that this run trained on, in all processes.
        seconds: seconds spent in the training loop by this run, evaluations included.
    """

    model: PeftModel
    losses: list[dict[str, str | float]]
    validation_loss: float
    tokens: int
    seconds: float


def prepare_for_training(model: PeftModel, settings: TrainSettings) -> None:
    """Fuse LoRA into the layers of `model` and compile them, where `settings` say so. Call it once.

    Raises:
        InputError: LoRA cannot be fused into the layers.
    """
    if settings.fuse_lora:
        fuse_lora(model, settings.float8 and has_float8())
    if settings.torch_compile and has_gpu("train.torch_compile: layers are not compiled"):
        # Gradient checkpointing computes all of a layer again.
        compile_layers(model, recompute=not settings.gradient_checkpointing)


def train_adapter(
    model: PeftModel,
    train_rows: TokenRows,
    validation_rows: TokenRows,
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> TrainingResult:
    """Train the adapter of `model` on `train_rows`, with the loss on `validation_rows` each `eval_steps` and
    at the end.

    `model` has been through `prepare_for_training`. Checkpoints are saved to `scratch`; training goes on from
    the last complete one that lies there. On a CPU the adapter is then the same to the last bit as if it had
    not been interrupted.

    Raises:
        InputError: training diverges, the disk is full, no row has a token to learn, the optimizer or the
            schedule is not one that transformers knows, or a checkpoint is none of a training.
    """
    rows = with_something_to_learn(train_rows, settings)
    validation = with_something_to_learn(validation_rows, settings)
    for some in (rows, validation):
        check_rows(model, some, pad_token_id, settings)
    trainer = build_trainer(model, rows, validation, pad_token_id, settings, runtime, scratch)
    checkpoint = broadcast_from_main(lambda: last_complete_checkpoint(scratch))
    if checkpoint is not None:
        print(f"going on from {checkpoint}", flush=True)
    try:
        with explaining_full_disk(scratch):
            outcome = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except (
        pickle.UnpicklingError
    ) as error:  # the Trainer reads no objects, only tensors and plain values (weights_only)
        raise InputError(
            f"{checkpoint} holds what no training has saved; delete {scratch} and run again"
        ) from error
    state = copy.deepcopy(trainer.state)
    # Of the weights that are kept: under load_best_model_at_end they need not be the last ones.
    validation_loss = trainer.evaluate()["eval_loss"]
    gather_adapter(model)
    here = (
        1 if checkpoint is None else 1 - step_of(checkpoint) / state.global_step
    )  # a killed run did the rest
    trained = round(here * state.epoch * int(rows.lengths.sum()))
    return TrainingResult(
        model, _loss_curve(state, validation_loss), validation_loss, trained, outcome.metrics["train_runtime"]
    )


def validation_loss(
    model: PeftModel,
    validation_rows: TokenRows,
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> float:
    """The loss of `model`, which is prepared, on `validation_rows`, as training computes it.

    Raises:
        InputError: no row has a token to learn.
    """
    rows = with_something_to_learn(validation_rows, settings)
    return build_trainer(model, rows, rows, pad_token_id, settings, runtime, scratch).evaluate()["eval_loss"]


def build_trainer(
    model: PeftModel,
    rows: TokenRows,
    validation: TokenRows,
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> ResumableTrainer:
    """The Trainer that `settings` ask for, of a model that is prepared and rows that each have something to
    learn.

    `model` may have been another Trainer's before.

    Raises:
        InputError: the model cannot be trained so, or the optimizer or the schedule is not one that
            transformers knows.
    """
    _release(model)
    items: TokenRows | Packs = rows
    validation_items: TokenRows | Packs = validation
    collator: CausalCollator | PackCollator = CausalCollator(pad_token_id, settings.completion_only_loss)
    filler: Example | Pack = Example(input_ids=[pad_token_id], answer_start=1)
    if settings.pack_length is not None:
        packs, validation_packs = (
            pack_rows(some, settings.pack_length, settings.seed) for some in (rows, validation)
        )
        items, validation_items = packs, validation_packs
        collator = PackCollator(
            (packs, validation_packs),
            pad_token_id,
            settings.pack_length,
            settings.completion_only_loss,
            settings.per_device_train_batch_size,
        )
        take_packs(model, max(int(some.lengths.max()) for some in (rows, validation)))
        filler = []
    graphed = settings.cuda_graph and has_gpu("train.cuda_graph: steps are not recorded")
    kind: Any = GraphedTrainer if graphed else ResumableTrainer
    if world_size() > 1:
        kind = partial(DistributedTrainer, filler=filler)
    trainer: ResumableTrainer = kind(
        model=model,
        args=training_arguments(settings, str(scratch), autocast=model.dtype == torch.bfloat16),
        train_dataset=items,
        eval_dataset=validation_items,
        data_collator=collator,
        callbacks=[TrainingCallback(runtime)],
    )
    # Trainer's own would print dicts and draw a bar on every output; TrainingCallback does what is left of
    # them.
    trainer.remove_callback(PrinterCallback)
    return trainer


def _release(model: PeftModel) -> None:
    """Take off what the last Trainer's accelerate has put on `model`: a forward with autocast, and the mark
    that it has one.

    What is marked, accelerate leaves as it is; without its forward, or with another one, it would be computed
    in fp32.
    """
    for left in ("forward", "_original_forward", "_is_accelerate_prepared"):
        model.__dict__.pop(left, None)


def _loss_curve(state: TrainerState, validation_loss: float) -> list[dict[str, str | float]]:
    """The curve out of the Trainer's log, and the loss at the end where there was none on validation on the
    way.
    """
    points = [(entry["step"], entry.get("loss"), entry.get("eval_loss")) for entry in state.log_history]
    if not any(validation is not None for _, _, validation in points):
        points.append((state.global_step, None, validation_loss))
    return [
        {"step": step, "train_loss": _rounded(train), "validation_loss": _rounded(validation)}
        for step, train, validation in points
        if (train, validation) != (None, None)
    ]


def _rounded(loss: float | None) -> float | str:
    return "" if loss is None else round(loss, 6)
