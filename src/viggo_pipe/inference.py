"""From sentences to meaning representations: the base model, or the base model with a trained adapter."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from viggo_pipe.adapter import adapter_prompt, has_reverse, load_adapter
from viggo_pipe.base_model import find_base_model
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.dequantization import dequantize
from viggo_pipe.errors import InputError
from viggo_pipe.generation import Generation
from viggo_pipe.jsonl import ROW_FIELDS, read_jsonl
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.model_loading import load_model
from viggo_pipe.out_of_memory import PREDICTION, naming_settings
from viggo_pipe.params import Params
from viggo_pipe.prompt import PromptEncoder
from viggo_pipe.tokenizer import load_tokenizer

TRAINING_ROWS = "data/raw/train.jsonl"


class Parser:
    """Parses sentences with the base model of params.yaml and, where `adapter` names its folder, a trained adapter.

    The prompt is the one that the adapter was trained with, and params.yaml's for the base model alone.

    Args:
        params: sections `model`, `quantize`, `prompt` and `generate`.
        known: answers that need not be generated again; see `Generation`.

    Raises:
        InputError: the base model or the adapter is not to be had, or they do not belong together, the training rows are missing,
            whose names `generate.constrain` admits, there is no adapter of the other direction for `generate.reverse_weight`, or
            memory does not suffice.
    """

    def __init__(
        self,
        params: Params,
        sentences: Sequence[str],
        adapter: str | Path | None = None,
        known: Mapping[int, str] | None = None,
    ):
        self._settings, prompt = params.generate, params.prompt
        if adapter is not None:
            prompt = adapter_prompt(adapter)
            if self._settings.reverse_weight and not has_reverse(adapter):
                raise InputError(
                    "generate.reverse_weight needs an adapter that was trained with train.reverse_members, and this one was not; "
                    "set that and train again (dvc repro), or set generate.reverse_weight to 0"
                )
        elif self._settings.alternatives is not None:  # to which nearly all that is admitted is as likely
            print("generate.alternatives: the base model answers greedily", file=sys.stderr, flush=True)
            self._settings = self._settings.model_copy(update={"alternatives": None, "reverse_weight": 0.0})
        base = find_base_model(params.model)
        tokenizer = load_tokenizer(base)
        constraint = None
        if self._settings.constrain:
            rows = read_jsonl(TRAINING_ROWS, ROW_FIELDS)
            constraint = Constraint(tokenizer, Lexicon(row["meaning_representation"] for row in rows))
        self._compiling = nullcontext if constraint is None else constraint.compiling_for
        with self._compiling(), naming_settings(PREDICTION):
            encoder = PromptEncoder(tokenizer, prompt)
            self._generation = Generation(encoder, sentences, self._settings, constraint, known)
            self._model = load_model(base, params.quantize)
            if adapter is not None:
                self._model = load_adapter(self._model, base, adapter)

    def parse(self, on_batch: Callable[[dict[int, str], int], None] = lambda answers, tokens: None) -> list[str]:
        """What the model answers to each sentence, in their order; to be called once. See `Generation.run`.

        Raises:
            InputError: a sentence is too long, or memory does not suffice.
        """
        with self._compiling(), naming_settings(PREDICTION):
            if self._settings.dequantize:
                dequantize(self._model)
            return self._generation.run(self._model, on_batch)
