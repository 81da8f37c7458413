"""From sentences to meaning representations: the base model, or the base model with a trained adapter."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from viggo_pipe.adapter import REVERSE, adapter_prompt, load_adapter
from viggo_pipe.base_model import find_base_model
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.dequantization import dequantize
from viggo_pipe.errors import InputError
from viggo_pipe.generation import generate_answers
from viggo_pipe.jsonl import ROW_FIELDS, read_jsonl
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.model_loading import load_model
from viggo_pipe.out_of_memory import PREDICTION, naming_settings
from viggo_pipe.prompt import PromptEncoder
from viggo_pipe.settings.generate import GenerateSettings
from viggo_pipe.settings.model import ModelSettings
from viggo_pipe.settings.prompt import PromptSettings
from viggo_pipe.settings.quantize import QuantizeSettings
from viggo_pipe.tokenizer import load_tokenizer

TRAINING_ROWS = "data/raw/train.jsonl"


class Parser:
    """Parses sentences with the base model of params.yaml and, where `adapter` names its folder, a trained adapter.

    The prompt is the one that the adapter was trained with, and params.yaml's for the base model alone.

    Raises:
        InputError: the base model or the adapter is not to be had, or they do not belong together.
    """

    def __init__(
        self, model: ModelSettings, quantize: QuantizeSettings, prompt: PromptSettings, adapter: str | Path | None = None
    ):
        if adapter is not None:
            prompt = adapter_prompt(adapter)
        base = find_base_model(model)
        self._tuned = adapter is not None
        self._tokenizer = load_tokenizer(base)
        self._encoder = PromptEncoder(self._tokenizer, prompt)
        self._model = load_model(base, quantize)
        if adapter is not None:
            self._model = load_adapter(self._model, base, adapter)

    def parse(
        self,
        sentences: Sequence[str],
        settings: GenerateSettings,
        known: Mapping[int, str] | None = None,
        on_batch: Callable[[dict[int, str], int], None] = lambda answers, tokens: None,
    ) -> list[str]:
        """What the model answers to each of `sentences`, in their order; see `generate_answers`.

        Raises:
            InputError: a sentence is too long, memory does not suffice, the training rows are missing, whose names
                `constrain` admits, or there is no adapter of the other direction for `reverse_weight`.
        """
        if settings.alternatives is not None and not self._tuned:  # to which nearly all that is admitted is as likely
            print("generate.alternatives: the base model answers greedily", flush=True)
            settings = settings.model_copy(update={"alternatives": None, "reverse_weight": 0.0})
        if settings.reverse_weight and REVERSE not in self._model.peft_config:
            raise InputError(
                "generate.reverse_weight needs an adapter that was trained with train.reverse_members, and this one was not; set "
                "that and train again (dvc repro), or set generate.reverse_weight to 0"
            )
        with naming_settings(PREDICTION):
            if settings.dequantize:
                dequantize(self._model)
            constraint = None
            if settings.constrain:
                rows = read_jsonl(TRAINING_ROWS, ROW_FIELDS)
                constraint = Constraint(self._tokenizer, Lexicon(row["meaning_representation"] for row in rows))
            return generate_answers(self._model, self._tokenizer, self._encoder, sentences, settings, constraint, known, on_batch)
