"""Puts an untrained LoRA adapter on the quantized base model."""

import re
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel, set_seed

from viggo_pipe.config.settings.lora import LoraSettings
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.models.adapter import REVERSE


def add_adapter(model: PreTrainedModel, lora: LoraSettings, train: TrainSettings) -> PeftModel:
    """Freeze `model` and put an untrained LoRA adapter (Hu et al. 2021, arXiv:2106.09685) on it.

    Raises:
        InputError: `lora` names modules or layers that the model does not have or that LoRA cannot adapt, or
            `train` asks for a gradient checkpointing that the model does not have.
    """
    if train.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise InputError(
            f"train.gradient_checkpointing: {type(model).__name__} does not have it: set it to false"
        )
    set_seed(train.seed)  # before the adapter's matrices are drawn
    layers = model.config.num_hidden_layers
    if lora.upper_layers is not None and lora.upper_layers > layers:
        raise InputError(f"lora.upper_layers is {lora.upper_layers}, but the base model has {layers} layers")
    if getattr(model, "is_loaded_in_4bit", False):
        model = _prepare_for_kbit(model, train.gradient_checkpointing)
    elif train.gradient_checkpointing:
        model.enable_input_require_grads()
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules,
        layers_to_transform=None
        if lora.upper_layers is None
        else list(range(layers - lora.upper_layers, layers)),
        task_type="CAUSAL_LM",
    )
    if isinstance(lora.target_modules, list):
        known = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
        for name in lora.target_modules:
            if name not in known:
                raise InputError(f"lora.target_modules: the base model has no module {name!r}")
    try:
        adapted = get_peft_model(model, config)
    except (ValueError, re.error) as error:
        raise InputError(f"lora.target_modules {lora.target_modules!r}: {one_line(error)[:300]}") from error
    for name, layer in adapted.named_modules():
        if isinstance(layer, LoraLayer):
            _check_layer(name, layer.get_base_layer())
    return adapted


def _check_layer(name: str, layer: torch.nn.Module) -> None:
    """Check that `layer` gives nothing beside a product, which LoRA adds to: experts' routers do."""
    if not isinstance(layer, torch.nn.Linear) or type(layer) in (torch.nn.Linear, Linear4bit):
        return
    with torch.no_grad():
        product: Any = layer(layer.weight.new_zeros(1, layer.in_features))
    if not isinstance(product, torch.Tensor):
        raise InputError(
            f"lora.target_modules: {name} is a {type(layer).__name__}, which LoRA cannot adapt: name others"
        )


def parameter_counts(model: PeftModel) -> dict[str, float | int]:
    """`trainable_parameters`, `total_parameters` and `trainable_percent` of a model with its adapters, the
    reverse one among them.

    True counts: a 4-bit weight holds two values a byte, which counting tensor elements would halve.
    """
    trainable, total = model.get_nb_trainable_parameters()
    trainable += sum(
        parameter.numel() for name, parameter in model.named_parameters() if f".{REVERSE}." in name
    )
    return {
        "trainable_parameters": trainable,
        "total_parameters": total,
        "trainable_percent": round(100 * trainable / total, 4),
    }


def _prepare_for_kbit(model: PreTrainedModel, gradient_checkpointing: bool) -> PreTrainedModel:
    """peft's k-bit preparation, less its cast of every 16-bit parameter to fp32 (peft#816).

    Those parameters are frozen and were stored in 16 bits: the cast adds no precision, and costs memory and
    time in the embeddings and the output head.
    """
    dtypes = {name: parameter.dtype for name, parameter in model.named_parameters()}
    model = prepare_model_for_kbit_training(
        model,
        use_gradient_checkpointing=gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )
    for name, parameter in model.named_parameters():
        if parameter.dtype != dtypes[name]:
            parameter.data = parameter.data.to(dtypes[name])
    # On a CPU with AVX-512 bf16, bitsandbytes repacks a weight at its first evaluation, for good, and rounds
    # its scales to bf16 as it does: training would go on with another base model than before, and than after
    # a resumption.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 (unknown to torch's types)
    return model
