"""Parses sentences into meaning representations, with the base model alone or with a trained adapter."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import cast

from transformers import PreTrainedModel

from viggo_pipe.config.load import Params
from viggo_pipe.config.settings.generate import GenerateSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.jsonl import ROW_FIELDS, read_jsonl
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.generate import BatchGenerator, OnBatch
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.models.adapter import adapter_prompt, has_reverse, load_adapter
from viggo_pipe.models.base_model import BaseCheckpoint, find_base_model
from viggo_pipe.models.dequantize import dequantize
from viggo_pipe.models.loading import load_model
from viggo_pipe.models.oom import PREDICTION, explain_out_of_memory
from viggo_pipe.models.tokenizer import load_tokenizer
from viggo_pipe.tokens.prompt import PromptEncoder

TRAINING_ROWS = "data/raw/train.jsonl"


class Parser:
    """Parses sentences with the base model of params.yaml and, if `adapter` names its folder, an adapter.

    The prompt is the one that the adapter was trained with. The base model alone has params.yaml's.

    Args:
        params: sections `model`, `quantize`, `prompt` and `generate`.
        known: answers that need not be generated again; see `BatchGenerator`.
        base: the base model of params.yaml, if it was found already.

    Raises:
        InputError: the base model or the adapter is missing or damaged, or they do not belong together;
            `generate.constrain` lacks the training rows, whose names it admits; `generate.channel_weight`
            lacks a reverse adapter; or memory is short.
    """

    def __init__(
        self,
        params: Params,
        sentences: Sequence[str],
        adapter: str | Path | None = None,
        known: Mapping[int, str] | None = None,
        base: BaseCheckpoint | None = None,
    ):
        if adapter is None:
            prompt, self._settings = params.prompt, _without_rerank(params.generate)
        else:
            prompt, self._settings = adapter_prompt(adapter), params.generate
            _check_reverse(adapter, self._settings)
        base = base or find_base_model(params.model)
        tokenizer = load_tokenizer(base)
        self._constraint = None
        if self._settings.constrain:
            rows = read_jsonl(TRAINING_ROWS, ROW_FIELDS)
            self._constraint = Constraint(
                tokenizer, KnownNames(row["meaning_representation"] for row in rows)
            )
        with self._cancel_on_error(), explain_out_of_memory(PREDICTION):
            encoder = PromptEncoder(tokenizer, prompt)
            self._generator = BatchGenerator(encoder, sentences, self._settings, self._constraint, known)
            self._model = load_model(base, params.quantize)
            if adapter is not None:
                # peft's wrapper has the model's interface.
                self._model = cast(PreTrainedModel, load_adapter(self._model, base, adapter))

    def parse(self, on_batch: OnBatch | None = None) -> list[str]:
        """The model's answer to each sentence, in their order. Call it once. See `BatchGenerator.run`.

        Raises:
            InputError: a sentence is too long, or memory is short.
        """
        with self._cancel_on_error(), explain_out_of_memory(PREDICTION):
            if self._settings.dequantize:
                dequantize(self._model)
            return self._generator.run(self._model, on_batch)

    def _cancel_on_error(self) -> AbstractContextManager[None]:
        return nullcontext() if self._constraint is None else self._constraint.cancel_on_error()


def _without_rerank(settings: GenerateSettings) -> GenerateSettings:
    """The settings for the base model: it finds nearly everything that is admitted equally likely."""
    if settings.rerank is None:
        return settings
    print("generate.rerank: the base model answers greedily", file=sys.stderr, flush=True)
    return settings.model_copy(update={"rerank": None, "channel_weight": 0.0})


def _check_reverse(adapter: str | Path, settings: GenerateSettings) -> None:
    if settings.channel_weight and not has_reverse(adapter):
        raise InputError(
            "generate.channel_weight needs an adapter that was trained with train.reverse_members, "
            "and this one was not; "
            "set that and train again (dvc repro), or set generate.channel_weight to 0"
        )
