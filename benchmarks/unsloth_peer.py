"""Unsloth, for comparison. Import this module first: Unsloth patches the libraries imported after it."""

import sys
from contextlib import suppress

if any(argument.startswith("Unsloth") for argument in sys.argv):
    with suppress(ImportError):  # load_with_unsloth raises it again
        import unsloth  # noqa: F401

import torch
from transformers import PreTrainedModel

from viggo_pipe.models.base_model import BaseCheckpoint

_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load_with_unsloth(base: BaseCheckpoint, length: int, rank: int, alpha: int) -> PreTrainedModel:
    """The NF4 model of `base` with an untrained adapter, for rows of at most `length` tokens."""
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        str(base.folder),
        max_seq_length=length,
        load_in_4bit=True,
        dtype=torch.bfloat16,
        local_files_only=True,
    )
    return FastLanguageModel.get_peft_model(
        model,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0,
        target_modules=_LINEAR,
        use_gradient_checkpointing=False,
    )
