"""What transformers' Trainer lacks for a resumption that ends with the same bytes."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, RandomSampler, Sampler
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from viggo_pipe.core.checksums import is_complete
from viggo_pipe.tokens.mapped_rows import TokenRows


class ResumableTrainer(Trainer):
    """A Trainer that draws each epoch's order of rows from the seed and the epoch, as accelerate's seedable
    sampler does.

    The Trainer's sampler by length draws it from the global state, which a resumption in a later epoch does
    not have. It also reads every row to learn its length, which `TokenRows` knows.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return SeededByEpoch(_by_length(rows, size), self)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_eval_sampler(eval_dataset)
        rows: Any = eval_dataset
        sampler = _by_length(rows, self.args.eval_batch_size)
        # Every evaluation in the same batches, by however many processes.
        sampler.generator = _generator(self)
        return sampler

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, torch.Tensor | int | None]:
        """The batches of the next step: none where the last step is behind.

        Going on from a checkpoint of the last step, within an epoch, the Trainer would take one more.
        """
        if self.state.global_step >= self.state.max_steps:
            return [], None
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """None are counted: nobody reads the sum, for which all modules would be gone through after each
        batch.
        """
        return 0


class SeededByEpoch(Sampler):
    """The order of `sampler`, which has a generator, drawn from the seed and the epoch that `trainer` is
    in.
    """

    def __init__(self, sampler: RandomSampler | LengthGroupedSampler, trainer: Trainer):
        self.sampler, self._trainer = sampler, trainer

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        epoch = int((self._trainer.state.epoch or 0) + 1e-6)  # within a resumed one it is a fraction
        self.sampler.generator = _generator(self._trainer, epoch)
        return iter(self.sampler)


def _generator(trainer: Trainer, epoch: int = 0) -> torch.Generator:
    seed = trainer.args.data_seed
    assert seed is not None  # the arguments set it
    return torch.Generator().manual_seed(seed + epoch)


def _by_length(rows: TokenRows, batch_size: int) -> LengthGroupedSampler:
    return LengthGroupedSampler(batch_size, lengths=rows.lengths.tolist())


def checkpoint_folder(folder: str | Path, step: int) -> Path:
    """Where the Trainer, with its output in `folder`, saves the checkpoint of a step."""
    return Path(folder) / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def step_of(checkpoint: Path) -> int:
    """How many optimizer steps a checkpoint has behind it."""
    return int(checkpoint.name.rpartition("-")[2])


def complete_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints that were saved to their end and are undamaged, in the order of their steps."""
    return [path for path in _checkpoints(folder) if is_complete(path)]


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps that can be gone on with; those after it, and damaged ones, are
    deleted.

    It is complete, and so is the best one until then, with which a training under `load_best_model_at_end`
    may end.
    """
    complete = complete_checkpoints(folder)
    names = {None, *(path.name for path in complete)}
    usable = [path for path in complete if _goes_on_exactly(path) and _best_so_far(path) in names]
    last = usable[-1] if usable else None
    for path in _checkpoints(folder):
        if path not in complete or last is None or step_of(path) > step_of(last):
            shutil.rmtree(path)
    return last


def is_between_losses(state: TrainerState) -> bool:
    """Whether training is between two points of its loss curve.

    The Trainer forgets what it has summed up towards the next one. Behind the last step there is none.
    """
    return state.global_step % state.logging_steps != 0 and state.global_step < state.max_steps


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=step_of)


def _state(checkpoint: Path) -> TrainerState:
    return TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))


def _goes_on_exactly(checkpoint: Path) -> bool:
    return not is_between_losses(_state(checkpoint))


def _best_so_far(checkpoint: Path) -> str | None:
    best = _state(checkpoint).best_model_checkpoint
    return None if best is None else Path(best).name


def delete_old_checkpoints(folder: Path) -> None:
    """Keep the newest checkpoint, the last two that a training can go on from, and the best one of each.

    There are two, so that one is whole while the other is saved. The Trainer's own `save_total_limit` goes by
    the files' times: after a jump of the clock it deletes the newest.
    """
    checkpoints = _checkpoints(folder)
    kept = {*checkpoints[-1:], *[path for path in checkpoints if _goes_on_exactly(path)][-2:]}
    names = {path.name for path in kept} | {_best_so_far(path) for path in kept}
    for path in checkpoints:
        if path.name not in names:
            shutil.rmtree(path)
