"""A Trainer on several processes that takes the steps, and finds the losses, that one process would."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from accelerate import DistributedType, FullyShardedDataParallelPlugin, PartialState
from peft import PeftModel
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers.trainer_utils import EvalLoopOutput

from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.fsdp import whole_adapter
from viggo_pipe.training.packing import Packs
from viggo_pipe.training.resumable_trainer import ResumableTrainer, SeededByEpoch


def _on_numbered_cpu(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage | None:
    return storage if location.startswith("cpu:") else None


# Going on from a checkpoint on CPUs, transformers 5.17 reads the optimizer to accelerate's "cpu:0", which
# torch does not know.
torch.serialization.register_package(11, lambda storage: None, cast(Any, _on_numbered_cpu))


class DistributedTrainer(ResumableTrainer):
    """An optimizer step takes the rows that one process, with as many times the accumulation, would take.

    accelerate deals out batches in turn, and fills up an epoch's last round with rows of its first: trained
    on twice, they would be. Here it is filled with `filler`, which has nothing to learn. The loss is averaged
    over the tokens of all processes; an evaluation weighs the mean loss of each batch by its rows, as the
    Trainer does.

    Args:
        filler: an item that the collator makes a row of, in which nothing is to learn.
    """

    def __init__(self, train_dataset: TokenRows | Packs, filler: object, **named: Any):
        arguments = named["args"]
        missing = -len(train_dataset) % (arguments.world_size * arguments.per_device_train_batch_size)
        self._filled = FilledUp(train_dataset, filler, missing)
        super().__init__(train_dataset=cast(Any, self._filled), **named)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        # accelerate looks for a sharding plugin beside GPUs alone, and would train on CPUs without a word as
        # if there was none.
        if self.args.fsdp_plugin_args and not self.is_fsdp_enabled:
            state = self.accelerator.state
            # In both: with each optimizer accelerate copies the second over the first. Not told that this is
            # FSDP2, the first process alone would load a checkpoint, and wait for the others.
            state.distributed_type = PartialState().distributed_type = DistributedType.FSDP
            given: dict[str, Any] = self.args.fsdp_plugin_args
            state.fsdp_plugin = FullyShardedDataParallelPlugin(**given)
            self.is_fsdp_enabled = True

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> AbstractContextManager:
        # accelerate has forward passes autocast, but not FSDP2's, whose policy casts in its place; ours casts
        # nothing.
        if self.is_fsdp_enabled:
            return self.accelerator.autocast()
        return super().autocast_smart_context_manager(cache_enabled)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the adapter, whole, from the first process."""
        if not self.is_fsdp_enabled:
            return super().save_model(output_dir, _internal_call)
        self._save(output_dir, state_dict=whole_adapter(cast(PeftModel, self.model)))

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        rows = self._filled.rows
        sampler: Any = super()._get_train_sampler(cast(Any, rows))
        if isinstance(sampler, SeededByEpoch):
            by_length: Any = sampler.sampler
            by_length.batch_size *= self.args.world_size
        else:
            sampler = SeededByEpoch(sampler, self)
        return _ThenFillers(sampler, range(len(rows), len(self._filled)))

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """The loss on the rows of the evaluation, of whose batches each process takes its share."""
        rows: Any = dataloader.dataset
        size = self.args.per_device_eval_batch_size
        order = list(self._get_eval_sampler(rows) or range(len(rows)))
        batches = [order[start : start + size] for start in range(0, len(rows), size)]
        processes = self.args.world_size
        model: Any = cast(PeftModel, self.model).eval()
        if (
            not self.accelerator._models
        ):  # nothing was trained: the Trainer, too, prepares it for autocast then
            model = self.accelerator.prepare_model(model, evaluation_mode=True)
        total = torch.zeros((), device=self.args.device)
        for first in range(0, len(batches), processes):
            turn = first + self.args.process_index
            # One batch too few for all: the others' is computed and not counted, for a sharded model needs
            # every process.
            batch = rows.__getitems__(batches[min(turn, len(batches) - 1)])
            with torch.no_grad(), self.compute_loss_context_manager():
                loss: Any = self.compute_loss(model, self._prepare_inputs(self.data_collator(batch)))
            if turn < len(batches):
                total += loss * len(batch)
        mean = cast(torch.Tensor, self.accelerator.reduce(total)).item() / len(rows)
        metrics = {f"{metric_key_prefix}_loss": mean}
        return EvalLoopOutput(cast(Any, None), None, metrics, len(rows))


class FilledUp:
    """`rows`, then `filler` as often as `times` says."""

    def __init__(self, rows: TokenRows | Packs, filler: object, times: int):
        self.rows, self._filler, self._times = rows, filler, times

    def __len__(self) -> int:
        return len(self.rows) + self._times

    def __getitem__(self, index: int) -> object:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list:
        real = [index for index in indices if index < len(self.rows)]
        items = iter(self.rows.__getitems__(real) if real else [])
        return [next(items) if index < len(self.rows) else self._filler for index in indices]


class _ThenFillers(Sampler):
    def __init__(self, sampler: SeededByEpoch, fillers: range):
        self._sampler, self._fillers = sampler, fillers

    def __len__(self) -> int:
        return len(self._sampler) + len(self._fillers)

    def __iter__(self) -> Iterator[int]:
        yield from self._sampler
        yield from self._fillers
