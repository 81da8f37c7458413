"""Watches over a training: shows progress, stops a diverging run, and has a checkpoint saved now and then."""

import math
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from viggo_pipe.config.settings.runtime import RuntimeSettings
from viggo_pipe.core.checksums import mark_complete
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.progress import Progress
from viggo_pipe.training.distributed import barrier, is_main_process
from viggo_pipe.training.resumable_trainer import (
    checkpoint_folder,
    delete_old_checkpoints,
    is_between_losses,
)


class Diverged(InputError):
    """A loss is NaN or infinite.

    Attributes:
        checkpoints: the folder of the run's checkpoints.
        last_good_step: the last step after which a loss was computed that is a number.
    """

    def __init__(self, message: str, checkpoints: Path, last_good_step: int):
        super().__init__(message)
        self.checkpoints, self.last_good_step = checkpoints, last_good_step


class TrainingCallback(TrainerCallback):
    """Shows progress, stops a diverging run, and has a checkpoint saved now and then."""

    def __init__(self, runtime: RuntimeSettings):
        self._runtime = runtime
        self._progress: Progress | None = None
        self._saved_at = 0
        self._last_good_step = -1
        self._learning_rate = math.nan
        self._note = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._saved_at = state.global_step
        self._last_good_step = state.global_step - 1
        style = self._runtime.progress if is_main_process() else "plain"  # which the others' output swallows
        self._progress = Progress("train", state.max_steps, style, done=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        assert self._progress is not None  # training has begun
        self._progress.advance(note=self._note)
        is_due = state.global_step - self._saved_at >= self._runtime.save_steps
        if is_due and not is_between_losses(state):
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not is_between_losses(state):  # a best one between them is not gone on from
            self._saved_at = state.global_step
        barrier()  # each process saves the state of its random numbers
        if is_main_process():
            folder = Path(str(args.output_dir))
            mark_complete(checkpoint_folder(folder, state.global_step))
            delete_old_checkpoints(folder)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        assert logs is not None  # the Trainer always gives them
        self._learning_rate = logs.get("learning_rate", self._learning_rate)  # an evaluation's log has none
        # The loss of a step is that of the weights before it.
        for name, called, good_step in (
            ("loss", "training loss", state.global_step - 1),
            ("eval_loss", "loss on validation", state.global_step),
        ):
            if name not in logs:
                continue
            if not math.isfinite(logs[name]):
                raise Diverged(
                    f"{called} is {logs[name]} at step {state.global_step}, with learning rate "
                    f"{self._learning_rate:.3g}: training diverged; lower train.learning_rate, or raise "
                    "train.warmup_steps",
                    Path(str(args.output_dir)),
                    self._last_good_step,
                )
            self._last_good_step = good_step
        if "loss" in logs:
            self._note = f"loss {logs['loss']:.3f}"

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._progress is not None:
            self._progress.close()
