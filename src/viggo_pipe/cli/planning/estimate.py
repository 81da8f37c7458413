"""The tokens, steps and memory that the current params.yaml takes on a device."""

import math

from viggo_pipe.augment.augmentation import augmented
from viggo_pipe.cli.planning.device import Device
from viggo_pipe.cli.planning.memory import (
    evaluation_memory,
    generation_memory,
    graph_memory,
    training_memory,
)
from viggo_pipe.cli.planning.shape import adapter_parameters, shape_of
from viggo_pipe.cli.planning.sources import Sources
from viggo_pipe.config.load import Params
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.models.architecture import empty_model
from viggo_pipe.tokens.collate import padded_length
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.prompt import PromptEncoder
from viggo_pipe.tokens.storage import rows_in_memory
from viggo_pipe.tokens.tokenize import TokenizedSplit
from viggo_pipe.training.packing import pack_rows

# Bytes of a process on a CPU for Python, its libraries and what they keep, by the quickstart's peaks of 2.2
# and 1.1 GB.
_TRAINING_PROCESS, _GENERATION_PROCESS = 1.3e9, 0.6e9


class Direction:
    """The trainings in one direction: from sentence to meaning representation, or back.

    Attributes:
        members: how many trainings, one after another.
        rows: rows of an epoch, variants included.
        tokens: real tokens of those rows.
        longest: tokens of the longest.
        items: what the Trainer makes batches of: how many rows there are, or packs that hold them.
        item_tokens: most tokens of an item of a batch, padding included.
        item_labels: most tokens of an item that logits are computed for.
        steps: optimizer steps of all members together.
        trained: tokens of all those steps.
    """

    def __init__(self, rows: TokenRows, members: int, train: TrainSettings):
        self.members, self.rows = members, len(rows)
        self.tokens, self.longest = int(rows.lengths.sum()), int(rows.lengths.max())
        if train.pack_length is None:
            self.items = len(rows)
            self.item_tokens = padded_length(self.longest)
            self.item_labels = self.item_tokens
            if train.completion_only_loss:
                self.item_labels = padded_length(int(rows.label_counts(completion_only_loss=True).max()) + 1)
        else:
            packs = pack_rows(rows, train.pack_length, train.seed)
            self.items = len(packs)
            self.item_tokens = train.pack_length
            self.item_labels = packs.most_labels(train.completion_only_loss)
        an_epoch = math.ceil(self.items / items_a_step(train))
        self.steps = members * _steps(train, an_epoch)
        self.trained = self.steps / an_epoch * self.tokens


class Estimate:
    """What a run with `params` takes on `device`. The rows are tokenized for it, as the stage does.

    Attributes:
        directions: from sentences to meaning representations and, with `train.reverse_members`, back.
        steps: optimizer steps of all trainings together.
        base: the base model's name.
        base_parameters: its parameters.
        adapter_parameters: the adapter's.
        model: it, without weights.
        encoder: renders and tokenizes its prompts.
        rows: the tokenized rows of train and validation, of either direction.

    Raises:
        InputError: a row is too long, or the model's shape cannot be made out.
    """

    def __init__(self, params: Params, sources: Sources, device: Device):
        self.params, self.device = params, device
        train = params.train
        self.model = empty_model(sources.base)
        self.encoder = encoder = PromptEncoder(sources.tokenizer, params.prompt)
        self.rows = {
            split: rows_in_memory(TokenizedSplit(rows, encoder, params.tokenize, split))
            for split, rows in (
                ("train", augmented(sources.splits["train"], params.augment)),
                ("validation", sources.splits["validation"]),
            )
        }
        rows, reverse = self.rows["train"]
        self.directions = [Direction(rows, train.soup_members, train)]
        if train.reverse_members:
            self.directions.append(Direction(reverse, train.reverse_members, train))
        self.steps = sum(direction.steps for direction in self.directions)
        self.base = sources.base.name
        self._shape = shape_of(self.model)
        self.base_parameters = self._shape.parameters
        self.adapter_parameters = adapter_parameters(self._shape, params.lora)
        predicted = sources.splits[params.generate.split]
        self._prompt = padded_length(max(len(encoder.prompt(row["sentence"])) for row in predicted))
        self._model = (self._shape, params.quantize, params.lora, train)
        self._compiled = train.torch_compile and device.is_gpu
        self.graphed = train.cuda_graph and device.is_gpu

    def training_memory(self, batch_size: int) -> float:
        """Bytes at the peak of training with that many rows, or packs, a forward pass."""
        return self._process(_TRAINING_PROCESS) + training_memory(
            *self._model, *self._batch(batch_size), compiled=self._compiled, graphed=self.graphed
        )

    def evaluation_memory(self, batch_size: int, trained: int) -> float:
        """Bytes at the peak of an evaluation within training.

        Args:
            batch_size: rows, or packs, of the evaluation's batches.
            trained: rows, or packs, of the training's batches.
        """
        held = 0.0
        if self.graphed:
            held = graph_memory(*self._model, *self._batch(trained), compiled=self._compiled)
        return self._process(_TRAINING_PROCESS) + evaluation_memory(
            *self._model, *self._batch(batch_size), held=held
        )

    def generation_memory(self, batch_size: int) -> float:
        """Bytes at the peak of prediction with that many rows a batch."""
        generate = self.params.generate.model_copy(update={"batch_size": batch_size})
        return self._process(_GENERATION_PROCESS) + generation_memory(
            self._shape, self.params.quantize, generate, self._prompt
        )

    def _batch(self, batch_size: int) -> tuple[int, int]:
        """Most tokens of a batch of that many rows, or packs; and those that logits are computed for."""
        tokens = max(direction.item_tokens for direction in self.directions)
        labels = max(direction.item_labels for direction in self.directions)
        return batch_size * tokens, batch_size * labels

    def _process(self, on_a_cpu: float) -> float:
        return 0 if self.device.is_gpu else on_a_cpu


def items_a_step(train: TrainSettings) -> int:
    """Rows, or packs, of an optimizer step."""
    return train.num_processes * train.per_device_train_batch_size * train.gradient_accumulation_steps


def _steps(train: TrainSettings, an_epoch: int) -> int:
    """Optimizer steps of a training, of which an epoch has `an_epoch`."""
    if train.num_train_epochs is not None:
        return math.ceil(train.num_train_epochs * an_epoch)
    assert train.max_steps is not None  # the settings have one of the two
    return train.max_steps
