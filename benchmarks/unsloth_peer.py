"""Unsloth, for benchmarks that compare with it: they import this first, since it patches the libraries that they import next."""

import sys
from contextlib import suppress

if any(argument.startswith("Unsloth") for argument in sys.argv):
    with suppress(ImportError):  # said where it is used
        import unsloth  # noqa: F401

import torch
from transformers import PreTrainedModel

from viggo_pipe.base_model import BaseModel

_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load_with_unsloth(base: BaseModel, length: int, rank: int, alpha: int) -> PreTrainedModel:
    """The NF4 model in the folder of `base`, for rows of at most `length` tokens, with an untrained adapter."""
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        str(base.folder), max_seq_length=length, load_in_4bit=True, dtype=torch.bfloat16, local_files_only=True
    )
    return FastLanguageModel.get_peft_model(
        model, r=rank, lora_alpha=alpha, lora_dropout=0, target_modules=_LINEAR, use_gradient_checkpointing=False
    )
