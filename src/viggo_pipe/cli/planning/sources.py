"""What the sections `dataset` and `model` of params.yaml name, looked up."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from viggo_pipe.config.load import Params
from viggo_pipe.data.dataset import read_splits
from viggo_pipe.models.base_model import BaseCheckpoint, find_base_model
from viggo_pipe.models.quantization import quantization_arguments
from viggo_pipe.models.tokenizer import load_tokenizer


@dataclass(frozen=True)
class Sources:
    """What params.yaml's sources hold.

    Attributes:
        base: the base model; from the Hub its tokenizer and configuration alone.
        tokenizer: its tokenizer.
        splits: the rows of each split.
    """

    base: BaseCheckpoint
    tokenizer: PreTrainedTokenizerBase
    splits: dict[str, list[dict[str, str]]]


def find_sources(params: Params) -> Sources:
    """Look up what `params` name. What is not in the caches yet is downloaded.

    Raises:
        InputError: a source is not in order.
    """
    splits = {split: list(rows) for split, rows in read_splits(params.dataset).items()}
    # Not the Hub's weights, which can be many gigabytes. Its tokenizer takes the same permission.
    base = find_base_model(params.model, weights=params.model.source != "hub")
    quantization_arguments(base, params.quantize)
    return Sources(base, load_tokenizer(base), splits)
