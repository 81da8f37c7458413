"""Loads the base model's weights, in the precision of params.yaml."""

import torch
from bitsandbytes.nn.modules import Linear4bit
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from viggo_pipe.config.settings.quantize import QuantizeSettings
from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.models.architecture import check_causal_lm, without_router_loss
from viggo_pipe.models.base_model import BaseCheckpoint


def best_device() -> torch.device:
    """The first CUDA GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def compute_dtype(settings: QuantizeSettings) -> torch.dtype:
    """What matrix products are computed in: bf16, and fp32 for 32-bit weights."""
    return torch.float32 if settings.bits == 32 else torch.bfloat16


def _keep_odd_layers(model: PreTrainedModel) -> None:
    """Have bitsandbytes leave 4-bit layers as they are that it cannot repack: on a CPU with AVX-512 bf16, it
    does so at their first evaluation, in blocks of 32 rows and 64 columns, and fails at other sizes.
    """
    for module in model.modules():
        if isinstance(module, Linear4bit) and (module.out_features % 32 or module.in_features % 64):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 (unknown to torch's types)


def load_model(base: BaseCheckpoint, settings: QuantizeSettings) -> PreTrainedModel:
    """Load `base` onto the best device.

    In 4 bits it is NF4 as in QLoRA (Dettmers et al. 2023, arXiv:2305.14314), else bf16 or fp32. Weights have
    the dtype of the computation: autocast would cast fp32 weights again at each decoding step.

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
    except (
        ValueError,
        OSError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
    ) as error:
        raise InputError(
            f"{base.name}: cannot load the weights in {base.folder} ({one_line(error)[:300]}); if they are "
            "damaged, delete that folder and run again"
        ) from error
    check_causal_lm(model, base)
    without_router_loss(model)
    _keep_odd_layers(model)
    # Hidden states come as a strided view. A CPU's matmul would copy the whole head for each row of one.
    head = model.get_output_embeddings()
    assert head is not None  # a causal language model has one
    head.register_forward_pre_hook(lambda head, inputs: (inputs[0].contiguous(),))
    return model
