"""Loads the base model's weights, in the precision of params.yaml."""

from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from viggo_pipe.config.settings.quantize import QuantizeSettings
from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.models.architecture import check_causal_lm, without_router_loss
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.models.loading_info import loading_fault, only_errors
from viggo_pipe.models.quantization import check_no_codes, is_quantized, quantization_arguments


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
        InputError: the weights are damaged, not those of the model's class, only there as pickles, or
            quantized already in another way.
    """
    model = _load(base, settings, best_device())
    check_causal_lm(model, base)
    without_router_loss(model)
    _keep_odd_layers(model)
    # Hidden states come as a strided view. A CPU's matmul would copy the whole head for each row of one.
    head = model.get_output_embeddings()
    assert head is not None  # a causal language model has one
    head.register_forward_pre_hook(lambda head, inputs: (inputs[0].contiguous(),))
    return model


def check_weights(base: BaseCheckpoint, settings: QuantizeSettings) -> None:
    """Check, by the headers of the files, that `load_model` finds each tensor of the model, and no other.

    Raises:
        InputError: as `load_model`.
    """
    # What bitsandbytes has packed can only be unpacked where its values are. Of other weights the shapes are
    # compared, which packing would hide.
    if is_quantized(base):
        _load(base, settings, torch.device("cpu"))
    else:
        _load(base, settings.model_copy(update={"bits": 16}), torch.device("meta"))


def _load(base: BaseCheckpoint, settings: QuantizeSettings, device: torch.device) -> PreTrainedModel:
    arguments = quantization_arguments(base, settings)
    if "config" not in arguments:
        check_no_codes(base)
    try:
        with only_errors():
            found: Any = AutoModelForCausalLM.from_pretrained(
                base.folder,
                dtype=compute_dtype(settings),
                device_map={"": device},
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # so that they are among what is said about the loading
                output_loading_info=True,
                **arguments,
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
            f"{base.name}: cannot load the weights in {base.folder} ({one_line(error)[:300]}); use another "
            "model, or fetch it anew if its files are damaged"
        ) from error
    model, loading = found
    loading["mismatched_keys"] |= _wrongly_packed(model)
    fault = loading_fault(loading)
    if fault is not None:
        raise InputError(
            f"{base.name}: the weights in {base.folder} are not those of a {type(model).__name__}: {fault}; "
            "name the whole model, or fetch or save it anew"
        )
    return model


def _wrongly_packed(model: PreTrainedModel) -> set[tuple[str, ...]]:
    """The 4-bit weights of another shape than their layer. transformers compares none that it packs."""
    wrong = set()
    for name, layer in model.named_modules():
        if isinstance(layer, Linear4bit):
            state: Any = getattr(layer.weight, "quant_state", None)  # a missing weight has none
            if state is not None and tuple(state.shape) != (layer.out_features, layer.in_features):
                wrong.add((f"{name}.weight",))
    return wrong
