"""A Trainer on several processes that takes the steps, and finds the losses, that one process would."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import torch
from accelerate import DistributedType, FullyShardedDataParallelPlugin, PartialState
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput

from viggo_pipe.resumable_trainer import ResumableTrainer, SeededByEpoch
from viggo_pipe.sharding import whole_adapter


def _on_numbered_cpu(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage | None:
    return storage if location.startswith("cpu:") else None


# Going on from a checkpoint on CPUs, transformers 5.17 reads the optimizer to accelerate's "cpu:0", which torch does not know.
torch.serialization.register_package(11, lambda storage: None, _on_numbered_cpu)


class DistributedTrainer(ResumableTrainer):
    """An optimizer step takes the rows that one process, with as many times the accumulation, would take.

    accelerate deals out batches in turn, and fills up an epoch's last round with rows of its first: trained on twice, they
    would be. Here it is filled with `filler`, which has nothing to learn. The loss is averaged over the tokens of all
    processes; an evaluation weighs the mean loss of each batch by its rows, as the Trainer does.

    Args:
        filler: an item that the collator makes a row of, in which nothing is to learn.
    """

    def __init__(self, *args, train_dataset: Sequence, filler: object, **named):
        arguments = named["args"]
        self._rows = len(train_dataset)
        missing = -self._rows % (arguments.world_size * arguments.per_device_train_batch_size)
        super().__init__(*args, train_dataset=[*train_dataset, *[filler] * missing], **named)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        # accelerate looks for a sharding plugin beside GPUs alone, and would train on CPUs without a word as if there was none.
        if self.args.fsdp_plugin_args and not self.is_fsdp_enabled:
            state = self.accelerator.state
            # In both: with each optimizer accelerate copies the second over the first. Not told that this is FSDP2, the first
            # process alone would load a checkpoint, and wait for the others.
            state.distributed_type = PartialState().distributed_type = DistributedType.FSDP
            state.fsdp_plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            self.is_fsdp_enabled = True

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> AbstractContextManager:
        # accelerate has forward passes autocast, but not FSDP2's, whose policy casts in its place; ours casts nothing.
        return self.accelerator.autocast() if self.is_fsdp_enabled else super().autocast_smart_context_manager(cache_enabled)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the adapter, whole, from the first process."""
        if not self.is_fsdp_enabled:
            return super().save_model(output_dir, _internal_call)
        self._save(output_dir, state_dict=whole_adapter(self.model))

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        sampler = Trainer._get_train_sampler(self, self.train_dataset[: self._rows])
        if isinstance(sampler, LengthGroupedSampler):
            sampler.batch_size *= self.args.world_size
        return _ThenFillers(SeededByEpoch(sampler, self), range(self._rows, len(self.train_dataset)))

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """The loss on the rows of the evaluation, of whose batches each process takes its share."""
        rows, size = dataloader.dataset, self.args.eval_batch_size
        order = list(self._get_eval_sampler(rows) or range(len(rows)))
        batches = [[rows[index] for index in order[start : start + size]] for start in range(0, len(rows), size)]
        processes = self.args.world_size
        model = self.model.eval()
        if not self.accelerator._models:  # nothing was trained: the Trainer, too, has it prepared for autocast then
            model = self.accelerator.prepare_model(model, evaluation_mode=True)
        total = torch.zeros((), device=self.args.device)
        for first in range(0, len(batches), processes):
            turn = first + self.args.process_index
            # One batch too few for all: the others' is computed and not counted, for a sharded model needs every process.
            batch = batches[min(turn, len(batches) - 1)]
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self.compute_loss(model, self._prepare_inputs(self.data_collator(batch)))
            if turn < len(batches):
                total += loss * len(batch)
        loss = self.accelerator.reduce(total).item() / len(rows)
        return EvalLoopOutput(None, None, {f"{metric_key_prefix}_loss": loss}, len(rows))


class _ThenFillers(Sampler):
    def __init__(self, sampler: Sampler, fillers: range):
        self._sampler, self._fillers = sampler, fillers

    def __len__(self) -> int:
        return len(self._sampler) + len(self._fillers)

    def __iter__(self) -> Iterator[int]:
        yield from self._sampler
        yield from self._fillers
