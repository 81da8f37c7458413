"""Loads the base model's weights in the precision asked for."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from viggo_pipe.base_model import BaseModel
from viggo_pipe.errors import InputError, one_line
from viggo_pipe.settings.quantize import QuantizeSettings


def best_device() -> torch.device:
    """The first CUDA GPU, or the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def compute_dtype(settings: QuantizeSettings) -> torch.dtype:
    """What matrix products are computed in: bf16, and fp32 for 32-bit weights."""
    return torch.float32 if settings.bits == 32 else torch.bfloat16


def load_model(base: BaseModel, settings: QuantizeSettings) -> PreTrainedModel:
    """Load `base` onto the best device: 4-bit NF4 as in QLoRA (Dettmers et al. 2023, arXiv:2305.14314), bf16 or fp32.

    Weights are loaded in the dtype that they are computed in: autocast would cast fp32 weights again at each decoding step.

    Raises:
        InputError: the weights are missing, damaged, or only there as pickles.
    """
    transformers_logging.disable_progress_bar()
    quantization = None
    if settings.bits == 4:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=settings.double_quant,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base.folder,
            dtype=compute_dtype(settings),
            quantization_config=quantization,
            device_map={"": best_device()},
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except ImportError as error:
        raise InputError(
            f"{base.name}: {base.folder / 'config.json'} asks for code that is not part of this environment "
            f"({one_line(error)[:100]}); take that out of it, or use another model"
        ) from error
    except (ValueError, OSError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{base.name}: cannot load the weights in {base.folder} ({one_line(error)[:300]}); if they are damaged, delete "
            "that folder and run again"
        ) from error
    # The columns that logits are computed for are a strided view, for which a CPU's matmul copies the whole head once a row.
    model.get_output_embeddings().register_forward_pre_hook(lambda head, inputs: (inputs[0].contiguous(),))
    return model
