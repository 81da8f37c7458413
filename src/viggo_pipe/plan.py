"""What the current params.yaml will take, in tokens, steps, memory and time, before anything long starts."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from viggo_pipe.augmentation import augmented
from viggo_pipe.base_model import BaseModel, find_base_model
from viggo_pipe.collation import first_learnt, padded_length
from viggo_pipe.dataset import read_splits
from viggo_pipe.memory import (
    adapter_parameters,
    evaluation_memory,
    generation_memory,
    graph_memory,
    shape_of,
    training_memory,
)
from viggo_pipe.packing import Pack, pack_rows
from viggo_pipe.params import Params
from viggo_pipe.prompt import Example, PromptEncoder
from viggo_pipe.settings.train import TrainSettings
from viggo_pipe.tokenizer import load_tokenizer
from viggo_pipe.tokens import TokenizedSplit

_GB = 1e9
_NO_GPU = "this machine, without a GPU"
_CUDA = 0.6e9  # bytes of a GPU that CUDA itself takes, beside torch's allocator
# Bytes of a process on a CPU for Python, its libraries and what they keep, by the quickstart's peaks of 2.2 and 1.1 GB.
_TRAINING_PROCESS, _GENERATION_PROCESS = 1.3e9, 0.6e9
_LAST_TRAINING = Path("runs/train.json")
# What a container may use of its machine's memory, in bytes: in version 2 of control groups, and in version 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Sources:
    """What params.yaml's sources hold: looked up once, for whoever asks.

    Attributes:
        base: the base model; from the Hub its tokenizer and configuration alone.
        tokenizer: its tokenizer.
        splits: the rows of each split.
    """

    base: BaseModel
    tokenizer: PreTrainedTokenizerBase
    splits: dict[str, list[dict[str, str]]]


@dataclass(frozen=True)
class Device:
    """Where training would run: its name, its memory in bytes, and whether it is a GPU."""

    name: str
    memory: float
    is_gpu: bool


def find_sources(params: Params) -> Sources:
    """Look up what the sections `model` and `dataset` name, downloading what is not in the caches yet.

    Raises:
        InputError: a source is not in order.
    """
    splits = {split: list(rows) for split, rows in read_splits(params.dataset).items()}
    # From the Hub the tokenizer alone: it takes the same permission as the weights, which can be many gigabytes.
    base = find_base_model(params.model, weights=params.model.source != "hub")
    return Sources(base, load_tokenizer(base), splits)


def this_device() -> Device:
    """The first GPU, or the CPU with this machine's memory, or as much of it as this container may use."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Device(properties.name, properties.total_memory, True)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _LIMITS:
        try:
            memory = min(memory, int(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return Device(_NO_GPU, memory, False)


class Direction:
    """The trainings on the rows of one direction: from sentence to meaning representation, or back.

    Attributes:
        members: how many trainings, one after another.
        rows: rows of an epoch, variants included.
        tokens: real tokens of those rows.
        longest: tokens of the longest.
        items: what the Trainer makes batches of: the rows, or the packs that hold them.
        item: the tokens of a row in a batch, or of a pack, and how many of them logits are computed for, at most.
        steps: optimizer steps of all members together.
        trained: tokens of all those steps.
    """

    def __init__(self, rows: Sequence[Example], members: int, train: TrainSettings):
        packs = None if train.pack_length is None else pack_rows(rows, train.pack_length, train.seed)
        self.members, self.rows = members, len(rows)
        self.tokens, self.longest = sum(len(row["input_ids"]) for row in rows), max(len(row["input_ids"]) for row in rows)
        self.items = len(rows if packs is None else packs)
        self.item = _largest(rows, packs, train)
        an_epoch = math.ceil(self.items / _a_step(train))
        self.steps = members * (train.max_steps or math.ceil(train.epochs * an_epoch))
        self.trained = self.steps / an_epoch * self.tokens


class Plan:
    """What a run with `params` takes on `device`; the rows are tokenized for it, as the stage does.

    Attributes:
        directions: from sentences to meaning representations and, with `train.reverse_members`, back.
        steps: optimizer steps of all trainings together.

    Raises:
        InputError: a row is too long, or the model's shape cannot be made out.
    """

    def __init__(self, params: Params, sources: Sources, device: Device):
        self._params, self._device, train = params, device, params.train
        encoder = PromptEncoder(sources.tokenizer, params.prompt)
        rows = list(TokenizedSplit(augmented(sources.splits["train"], params.augment), encoder, params.tokenize, "train"))
        self.directions = [Direction([row.example for row in rows if not row.reverse], train.soup_members, train)]
        if train.reverse_members:
            self.directions.append(Direction([row.example for row in rows if row.reverse], train.reverse_members, train))
        self.steps = sum(direction.steps for direction in self.directions)
        asked = sources.splits[params.generate.split]
        self._base, self._shape = sources.base.name, shape_of(sources.base)
        self._prompt = padded_length(max(len(encoder.prompt(row["sentence"])) for row in asked))

    def training_memory(self, batch_size: int) -> float:
        """Bytes at the peak of training with that many rows, or packs, a forward pass."""
        return self._process(_TRAINING_PROCESS) + training_memory(
            *self._pass(batch_size), compiled=self._compiled, graphed=self._graphed
        )

    def evaluation_memory(self, batch_size: int, trained: int) -> float:
        """Bytes at the peak of an evaluation with that many rows, or packs, a batch, amid training with `trained` of them."""
        held = graph_memory(*self._pass(trained), compiled=self._compiled) if self._graphed else 0
        return self._process(_TRAINING_PROCESS) + evaluation_memory(*self._pass(batch_size), held=held)

    def generation_memory(self, batch_size: int) -> float:
        """Bytes at the peak of prediction with that many rows a batch."""
        generate = self._params.generate.model_copy(update={"batch_size": batch_size})
        return self._process(_GENERATION_PROCESS) + generation_memory(self._shape, self._params.quantize, generate, self._prompt)

    def lines(self) -> Iterator[str]:
        """The plan, a line a subject."""
        params, train = self._params, self._params.train
        training = max(self.training_memory(train.batch_size), self.evaluation_memory(train.eval_batch_size, train.batch_size))
        generation = self.generation_memory(params.generate.batch_size)
        adapter = adapter_parameters(self._shape, params.lora)
        yield f"model: {self._shape.parameters:,} parameters in {params.quantize.bits} bits, and an adapter's {adapter:,}"
        items = "rows" if train.pack_length is None else f"packs of {train.pack_length} tokens"
        processes = f", by {train.processes} processes" if train.processes > 1 else ""
        for direction, which in zip(self.directions, ("", ", the other direction"), strict=False):
            yield f"data{which}: {direction.rows:,} training rows, {direction.tokens:,} tokens, at most {direction.longest} a row"
            members = f" of {direction.members} members" if direction.members > 1 else ""
            yield (
                f"training{which}: {direction.items:,} {items} an epoch, {_a_step(train)} a step; {direction.steps:,} "
                f"steps{members}{processes}"
            )
        yield f"memory: about {training / _GB:.1f} GB to train, {generation / _GB:.1f} GB to predict"
        yield f"device: {self._device.name}, {self._device.memory / _GB:.1f} GB"
        yield f"time: {self._time()}"

    def misfits(self) -> Iterator[str]:
        """What does not fit on the device, and settings that would; a line each."""
        params, train, generate = self._params, self._params.train, self._params.generate
        a_step = train.batch_size * train.accumulation
        smaller_weights = {"quantize.bits to 4": params.quantize.bits != 4}
        sizes = [size for size in range(train.batch_size, 0, -1) if a_step % size == 0]
        yield from self._misfit(
            "training",
            self.training_memory,
            sizes,
            lambda size: f"train.batch_size to {size} and train.accumulation to {a_step // size}, as many rows a step",
            {
                "train.gradient_checkpointing to true": not train.gradient_checkpointing,
                **smaller_weights,
                "lora.upper_layers to fewer layers": True,
            },
        )
        yield from self._misfit(
            "evaluation",
            partial(self.evaluation_memory, trained=self._first_that_fits(self.training_memory, sizes) or sizes[-1]),
            _halvings(train.eval_batch_size),
            lambda size: f"train.eval_batch_size to {size}",
            {"train.cuda_graph to false": self._graphed, **smaller_weights},
        )
        yield from self._misfit(
            "prediction",
            self.generation_memory,
            _halvings(generate.batch_size),
            lambda size: f"generate.batch_size to {size}",
            {**smaller_weights, "generate.dequantize to false": params.quantize.bits == 4 and generate.dequantize},
        )

    def _misfit(
        self,
        what: str,
        memory: Callable[[int], float],
        sizes: Sequence[int],
        advice: Callable[[int], str],
        others: Mapping[str, bool],
    ) -> Iterator[str]:
        """A line if `what` does not fit with the first of `sizes`, by the `memory` that it takes.

        It has the `advice` for the first of them that fits; if none does, those of the `others` that can still be set.
        """
        size = self._first_that_fits(memory, sizes)
        if size == sizes[0]:
            return
        settings = [advice(size)] if size else [setting for setting, can_be_set in others.items() if can_be_set]
        needs, has = memory(sizes[0]) / _GB, self._device.memory / _GB
        advised = f"set {' or '.join(settings)}" if settings else "take a smaller base model"
        yield f"{what} needs about {needs:.1f} GB, but {self._device.name} has {has:.1f} GB: {advised}"

    def _first_that_fits(self, memory: Callable[[int], float], sizes: Sequence[int]) -> int | None:
        room = self._device.memory - (_CUDA if self._device.is_gpu else 0)
        return next((size for size in sizes if memory(size) <= room), None)

    def _pass(self, batch_size: int) -> tuple:
        """What `memory` is asked about: the model, the settings, and the tokens of that many rows, or packs."""
        params, items = self._params, [direction.item for direction in self.directions]
        tokens, learnt = map(max, zip(*items, strict=True))
        return self._shape, params.quantize, params.lora, params.train, batch_size * tokens, batch_size * learnt

    @property
    def _compiled(self) -> bool:
        return self._params.train.compile and self._device.is_gpu

    @property
    def _graphed(self) -> bool:
        return self._params.train.cuda_graph and self._device.is_gpu

    def _process(self, on_a_cpu: float) -> float:
        return 0 if self._device.is_gpu else on_a_cpu

    def _time(self) -> str:
        unknown = f"not known before a training of this model on this device, whose speed {_LAST_TRAINING} holds then"
        try:
            run = json.loads(_LAST_TRAINING.read_text(encoding="utf-8"))
            last, base, gpus = run["tokens_per_second"], run["base"], run["machine"]["gpus"]
        except (OSError, ValueError, KeyError, TypeError):
            return unknown
        if base != self._base or (gpus[0] if gpus else _NO_GPU) != self._device.name:
            return unknown
        minutes = sum(direction.trained for direction in self.directions) / last / 60
        return f"about {minutes:,.0f} min to train, at the last training's {last:,.0f} tokens/s ({_LAST_TRAINING})"


def _a_step(train: TrainSettings) -> int:
    """Items of an optimizer step."""
    return train.processes * train.batch_size * train.accumulation


def _halvings(size: int) -> list[int]:
    """`size`, its half, and so on, down to 1."""
    return [size >> number for number in range(size.bit_length())]


def _largest(rows: Sequence[Example], packs: Sequence[Pack] | None, train: TrainSettings) -> tuple[int, int]:
    """The tokens of a row in a batch, or of a pack, and how many of them logits are computed for, at most."""

    def learnt(row: Example) -> int:
        return len(row["input_ids"]) - first_learnt(row, train.loss_on)

    if packs is not None:
        return train.pack_length, max(sum(map(learnt, pack)) for pack in packs)
    longest = padded_length(max(len(row["input_ids"]) for row in rows))
    return longest, longest if train.loss_on == "all" else padded_length(max(map(learnt, rows)) + 1)
