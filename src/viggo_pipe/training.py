"""QLoRA training through transformers' Trainer."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from peft import PeftModel
from transformers.trainer_callback import PrinterCallback, TrainerState

from viggo_pipe.acceleration import has_float8, has_gpu
from viggo_pipe.collation import CausalCollator, first_learnt
from viggo_pipe.compiled_layers import compile_layers
from viggo_pipe.distributed import of_first, world_size
from viggo_pipe.distributed_trainer import DistributedTrainer
from viggo_pipe.errors import InputError
from viggo_pipe.files import explaining_full_disk
from viggo_pipe.folded_lora import fold_adapter
from viggo_pipe.graphed_trainer import GraphedTrainer
from viggo_pipe.packing import Pack, PackCollator, pack_rows, take_packs
from viggo_pipe.prompt import Example
from viggo_pipe.resumable_trainer import ResumableTrainer, last_complete_checkpoint, step_of
from viggo_pipe.settings.runtime import RuntimeSettings
from viggo_pipe.settings.train import TrainSettings
from viggo_pipe.sharding import gather_adapter
from viggo_pipe.training_arguments import training_arguments
from viggo_pipe.watcher import Watcher


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves behind.

    Attributes:
        model: the model with the trained adapter: the best one on validation under `keep_best`, else the last one.
        losses: the loss curve: `step` with `train_loss` or `validation_loss`, the other one being an empty string.
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
    """Fold and compile the layers of `model` where `settings` ask for it: once, whatever is then trained.

    Raises:
        InputError: the layers cannot be folded.
    """
    if settings.fold_adapter:
        fold_adapter(model, settings.float8 and has_float8())
    if settings.compile and has_gpu("train.compile: layers are not compiled"):
        compile_layers(model, recompute=not settings.gradient_checkpointing)  # which computes all of a layer again


def train_adapter(
    model: PeftModel,
    train_rows: Sequence[Example],
    validation_rows: Sequence[Example],
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> TrainingResult:
    """Train the adapter of `model` on `train_rows`, with the loss on `validation_rows` each `eval_steps` and at the end.

    `model` has been through `prepare_for_training`. Checkpoints are saved to `scratch`; training goes on from the last
    complete one that lies there. On a CPU the adapter is then the same to the last bit as if it had not been interrupted.

    Raises:
        InputError: training diverges, the disk is full, no row has a token to learn, the optimizer or the schedule is not one
            that transformers knows, or a checkpoint is none of a training.
    """
    rows = _with_something_to_learn(train_rows, settings)
    validation = _with_something_to_learn(validation_rows, settings)
    trainer = build_trainer(model, rows, validation, pad_token_id, settings, runtime, scratch)
    checkpoint = of_first(lambda: last_complete_checkpoint(scratch))
    if checkpoint is not None:
        print(f"going on from {checkpoint}", flush=True)
    try:
        with explaining_full_disk(scratch):
            outcome = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except pickle.UnpicklingError as error:  # the Trainer reads no objects, only tensors and plain values (weights_only)
        raise InputError(f"{checkpoint} holds what no training has saved; delete {scratch} and run again") from error
    state = copy.deepcopy(trainer.state)
    # Of the weights that are kept: under keep_best they need not be the last ones.
    validation_loss = trainer.evaluate()["eval_loss"]
    gather_adapter(model)
    here = 1 if checkpoint is None else 1 - step_of(checkpoint) / state.global_step  # a killed run did the rest
    trained = round(here * state.epoch * sum(len(row["input_ids"]) for row in rows))
    return TrainingResult(model, _loss_curve(state, validation_loss), validation_loss, trained, outcome.metrics["train_runtime"])


def validation_loss(
    model: PeftModel,
    validation_rows: Sequence[Example],
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> float:
    """The loss of `model`, which is prepared, on `validation_rows`, as training computes it.

    Raises:
        InputError: no row has a token to learn.
    """
    rows = _with_something_to_learn(validation_rows, settings)
    return build_trainer(model, rows, rows, pad_token_id, settings, runtime, scratch).evaluate()["eval_loss"]


def build_trainer(
    model: PeftModel,
    rows: Sequence[Example],
    validation: Sequence[Example],
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> ResumableTrainer:
    """The Trainer that `settings` ask for, of a model that is prepared and rows that each have something to learn.

    `model` may have been another Trainer's before.

    Raises:
        InputError: the model cannot be trained so, or the optimizer or the schedule is not one that transformers knows.
    """
    _release(model)
    collator = CausalCollator(pad_token_id, settings.loss_on)
    filler: Example | Pack = Example(input_ids=[pad_token_id], answer_start=1)
    if settings.pack_length is not None:
        rows, validation = (pack_rows(some, settings.pack_length, settings.seed) for some in (rows, validation))
        collator = PackCollator([*rows, *validation], pad_token_id, settings.pack_length, settings.loss_on, settings.batch_size)
        take_packs(model)
        filler = []
    graphed = settings.cuda_graph and has_gpu("train.cuda_graph: steps are not recorded")
    kind = GraphedTrainer if graphed else ResumableTrainer
    trainer = (kind if world_size() == 1 else partial(DistributedTrainer, filler=filler))(
        model=model,
        args=training_arguments(settings, str(scratch), autocast=model.dtype == torch.bfloat16),
        train_dataset=rows,
        eval_dataset=validation,
        data_collator=collator,
        callbacks=[Watcher(runtime)],
    )
    # Trainer's own would print dicts and draw a bar on every output; Watcher does what is left of them.
    trainer.remove_callback(PrinterCallback)
    return trainer


def _release(model: PeftModel) -> None:
    """Take off what the last Trainer's accelerate has put on `model`: a forward with autocast, and the mark that it has one.

    What is marked, accelerate leaves as it is; without its forward, or with another one, it would be computed in fp32.
    """
    for left in ("forward", "_original_forward", "_is_accelerate_prepared"):
        model.__dict__.pop(left, None)


def _with_something_to_learn(rows: Sequence[Example], settings: TrainSettings) -> list[Example]:
    """Leave out rows whose answer was cut off whole: they have no label, and a batch of them would have the loss NaN."""
    kept = [row for row in rows if first_learnt(row, settings.loss_on) < len(row["input_ids"])]
    if len(kept) < len(rows):
        print(f"left out {len(rows) - len(kept)} of {len(rows)} rows: truncation cut off their whole answer", flush=True)
    if not kept:
        raise InputError("no row has an answer left to learn: raise tokenize.max_length or shorten the prompt")
    return kept


def _loss_curve(state: TrainerState, validation_loss: float) -> list[dict[str, str | float]]:
    """The curve out of the Trainer's log, and the loss at the end where there was none on validation on the way."""
    points = [(entry["step"], entry.get("loss"), entry.get("eval_loss")) for entry in state.log_history]
    if not any(validation is not None for _, _, validation in points):
        points.append((state.global_step, None, validation_loss))
    return [
        {"step": step, **{name: "" if loss is None else round(loss, 6) for name, loss in losses}}
        for step, train_loss, validation in points
        if (losses := (("train_loss", train_loss), ("validation_loss", validation))) and (train_loss, validation) != (None, None)
    ]
