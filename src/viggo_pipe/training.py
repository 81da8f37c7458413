"""QLoRA training through transformers' Trainer."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import copy
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback, TrainerState

from viggo_pipe.collation import CausalCollator, first_learnt
from viggo_pipe.errors import InputError
from viggo_pipe.files import explaining_full_disk
from viggo_pipe.folded_lora import fold_adapter
from viggo_pipe.graphed_trainer import GraphedTrainer
from viggo_pipe.packing import PackCollator, pack_rows, take_packs
from viggo_pipe.progress import Progress
from viggo_pipe.prompt import Example
from viggo_pipe.resumable_trainer import (
    ResumableTrainer,
    checkpoint_folder,
    delete_old_checkpoints,
    last_complete_checkpoint,
)
from viggo_pipe.resume import mark_complete
from viggo_pipe.settings.lora import LoraSettings
from viggo_pipe.settings.runtime import RuntimeSettings
from viggo_pipe.settings.train import TrainSettings


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves behind.

    Attributes:
        model: the model with the trained adapter: the best one on validation under `keep_best`, else the last one.
        losses: the loss curve: `step` with `train_loss` or `validation_loss`, the other one being an empty string.
        validation_loss: the loss on validation that `model` has.
        tokens: real (non-padding) tokens that were trained on.
        seconds: seconds spent in the training loop by this process, evaluations included.
    """

    model: PeftModel
    losses: list[dict[str, str | float]]
    validation_loss: float
    tokens: int
    seconds: float


def add_adapter(model: PreTrainedModel, lora: LoraSettings, train: TrainSettings) -> PeftModel:
    """Freeze `model` and put an untrained LoRA adapter (Hu et al. 2021, arXiv:2106.09685) on it.

    Raises:
        InputError: `lora` names modules or layers that the model does not have.
    """
    set_seed(train.seed)  # before the adapter's matrices are drawn
    layers = model.config.num_hidden_layers
    if lora.upper_layers is not None and lora.upper_layers > layers:
        raise InputError(f"lora.upper_layers is {lora.upper_layers}, but the base model has {layers} layers")
    if getattr(model, "is_loaded_in_4bit", False):
        model = _prepare_for_kbit(model, train.gradient_checkpointing)
    elif train.gradient_checkpointing:
        model.enable_input_require_grads()
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        layers_to_transform=None if lora.upper_layers is None else list(range(layers - lora.upper_layers, layers)),
        task_type="CAUSAL_LM",
    )
    if isinstance(lora.target_modules, list):
        known = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
        for name in lora.target_modules:
            if name not in known:
                raise InputError(f"lora.target_modules: the base model has no module {name!r}")
    try:
        return get_peft_model(model, config)
    except (ValueError, re.error) as error:
        raise InputError(f"lora.target_modules {lora.target_modules!r}: {' '.join(str(error).split())}") from error


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

    Checkpoints are saved to `scratch`; training goes on from the last complete one that lies there. On a CPU the adapter is
    then the same to the last bit as if it had not been interrupted.

    Raises:
        InputError: training diverges, the disk is full, no row has a token to learn, or the optimizer or the schedule is not
            one that transformers knows.
    """
    rows = _with_something_to_learn(train_rows, settings)
    validation = _with_something_to_learn(validation_rows, settings)
    trainer = build_trainer(model, rows, validation, pad_token_id, settings, runtime, scratch)
    checkpoint = last_complete_checkpoint(scratch)
    if checkpoint is not None:
        print(f"going on from {checkpoint}", flush=True)
    with explaining_full_disk(scratch):
        outcome = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    state = copy.deepcopy(trainer.state)
    # Of the weights that are kept: under keep_best they need not be the last ones.
    validation_loss = trainer.evaluate()["eval_loss"]
    trained = round(state.epoch * sum(len(row["input_ids"]) for row in rows))
    return TrainingResult(model, _loss_curve(state, validation_loss), validation_loss, trained, outcome.metrics["train_runtime"])


def build_trainer(
    model: PeftModel,
    rows: Sequence[Example],
    validation: Sequence[Example],
    pad_token_id: int,
    settings: TrainSettings,
    runtime: RuntimeSettings,
    scratch: Path,
) -> ResumableTrainer:
    """The Trainer that `settings` ask for, of rows that each have something to learn.

    Raises:
        InputError: the model cannot be trained so, or the optimizer or the schedule is not one that transformers knows.
    """
    collator = CausalCollator(pad_token_id, settings.loss_on)
    if settings.pack_length is not None:
        rows, validation = (pack_rows(some, settings.pack_length, settings.seed) for some in (rows, validation))
        collator = PackCollator([*rows, *validation], pad_token_id, settings.pack_length, settings.loss_on, settings.batch_size)
        take_packs(model)
    if settings.fold_adapter:
        fold_adapter(model, settings.float8 and _has_float8())
    if settings.compile and _has_gpu("train.compile: layers are not compiled"):
        _compile_layers(model)
    graphed = settings.cuda_graph and _has_gpu("train.cuda_graph: steps are not recorded")
    trainer = (GraphedTrainer if graphed else ResumableTrainer)(
        model=model,
        args=_arguments(settings, str(scratch), autocast=model.dtype == torch.bfloat16),
        train_dataset=rows,
        eval_dataset=validation,
        data_collator=collator,
        callbacks=[_Watcher(runtime)],
    )
    # Trainer's own would print dicts and draw a bar on every output; _Watcher does what is left of them.
    trainer.remove_callback(PrinterCallback)
    return trainer


def parameter_counts(model: PeftModel) -> dict[str, float | int]:
    """`trainable_parameters`, `total_parameters` and `trainable_percent` of a model with its adapter.

    True counts: a 4-bit weight holds two values a byte, which counting tensor elements would halve.
    """
    trainable, total = model.get_nb_trainable_parameters()
    return {
        "trainable_parameters": trainable,
        "total_parameters": total,
        "trainable_percent": round(100 * trainable / total, 4),
    }


def _prepare_for_kbit(model: PreTrainedModel, gradient_checkpointing: bool) -> PreTrainedModel:
    """peft's k-bit preparation, less its cast of every 16-bit parameter to fp32 (peft#816).

    Those parameters are frozen and were stored in 16 bits: the cast adds no precision, and costs memory and time in the
    embeddings and the output head.
    """
    dtypes = {name: parameter.dtype for name, parameter in model.named_parameters()}
    model = prepare_model_for_kbit_training(
        model, use_gradient_checkpointing=gradient_checkpointing, gradient_checkpointing_kwargs={"use_reentrant": False}
    )
    for name, parameter in model.named_parameters():
        if parameter.dtype != dtypes[name]:
            parameter.data = parameter.data.to(dtypes[name])
    # On a CPU with AVX-512 bf16, bitsandbytes repacks a weight at its first evaluation, for good, and rounds its scales to
    # bf16 as it does: training would go on with another base model than before, and than after a resumption.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _with_something_to_learn(rows: Sequence[Example], settings: TrainSettings) -> list[Example]:
    """Leave out rows whose answer was cut off whole: they have no label, and a batch of them would have the loss NaN."""
    kept = [row for row in rows if first_learnt(row, settings.loss_on) < len(row["input_ids"])]
    if len(kept) < len(rows):
        print(f"left out {len(rows) - len(kept)} of {len(rows)} rows: truncation cut off their whole answer", flush=True)
    if not kept:
        raise InputError("no row has an answer left to learn: raise tokenize.max_length or shorten prompt.template")
    return kept


def _has_gpu(otherwise: str) -> bool:
    if not torch.cuda.is_available():
        print(f"{otherwise}, for there is no CUDA GPU here", flush=True)
    return torch.cuda.is_available()


def _has_float8() -> bool:
    if not _has_gpu("train.float8: products are in 16 bits"):
        return False
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) < (8, 9):
        print(
            f"train.float8: products are in 16 bits, for this GPU has compute capability {major}.{minor}, below 8.9", flush=True
        )
    return (major, minor) >= (8, 9)


def _compile_layers(model: PeftModel) -> None:
    """Compile each decoder layer: they share one code, so that it is compiled once, where the whole model takes minutes."""
    for layer in model.get_base_model().get_decoder().layers:
        layer.compile(dynamic=False)


def _arguments(settings: TrainSettings, folder: str, autocast: bool) -> TrainingArguments:
    try:
        return TrainingArguments(
            output_dir=folder,
            seed=settings.seed,
            data_seed=settings.seed,
            num_train_epochs=settings.epochs or 1,
            max_steps=settings.max_steps or -1,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.eval_batch_size,
            gradient_accumulation_steps=settings.accumulation,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.schedule,
            warmup_steps=settings.warmup,
            optim=settings.optimizer,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            gradient_checkpointing=settings.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
            train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
            eval_strategy="no" if settings.eval_steps is None else "steps",
            eval_steps=settings.eval_steps,
            save_strategy="best" if settings.keep_best and settings.eval_steps else "no",
            load_best_model_at_end=bool(settings.keep_best and settings.eval_steps),
            metric_for_best_model="eval_loss",
            logging_steps=settings.log_steps,
            logging_nan_inf_filter=False,
            prediction_loss_only=True,
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            # The adapter is kept in fp32; a GPU multiplies it in bf16, a CPU would cast it anew each time.
            bf16=autocast and torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
        )
    except ValueError as error:
        raise InputError(f"section train: {' '.join(str(error).split())}") from error


class _Watcher(TrainerCallback):
    """Shows progress, stops a diverging run, and has a checkpoint saved now and then."""

    def __init__(self, runtime: RuntimeSettings):
        self._runtime = runtime
        self._progress: Progress | None = None
        self._saved_at = 0
        self._note = ""

    def on_train_begin(self, args, state, control, **kwargs):
        self._saved_at = state.global_step
        self._progress = Progress("train", state.max_steps, self._runtime.progress, done=state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        self._progress.advance(note=self._note)
        # Only where a loss is logged: the Trainer forgets what it has summed up towards the next one.
        if state.global_step - self._saved_at >= self._runtime.checkpoint_steps and state.global_step % args.logging_steps == 0:
            control.should_save = True

    def on_save(self, args, state, control, **kwargs):
        self._saved_at = state.global_step
        mark_complete(checkpoint_folder(args.output_dir, state.global_step))
        delete_old_checkpoints(Path(args.output_dir), state.best_model_checkpoint)

    def on_log(self, args, state, control, logs=None, **kwargs):
        for name, called in (("loss", "training loss"), ("eval_loss", "loss on validation")):
            if name in logs and not math.isfinite(logs[name]):
                raise InputError(
                    f"{called} is {logs[name]} at step {state.global_step}, with learning rate {logs.get('learning_rate')}: "
                    "training diverged, and nothing was saved; lower train.learning_rate, or raise train.warmup"
                )
        if "loss" in logs:
            self._note = f"loss {logs['loss']:.3f}"

    def on_train_end(self, args, state, control, **kwargs):
        self._progress.close()


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
