"""Prepares a model for FSDP, and collects the adapter from its shards after training.

FSDP shards only weights of floating-point dtypes (peft's documentation, "Use PEFT QLoRA and FSDP"). So the
bytes of NF4 weights are stored as bf16 numbers. Nothing computes with these, and nothing may cast them.
"""

from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from peft import PeftModel
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

_STORAGE = torch.bfloat16

FSDP_CONFIG = {"version": 2, "reshard_after_forward": True, "state_dict_type": "FULL_STATE_DICT"}
# FSDP casts no weight and no output, and sums gradients in fp32. accelerate's own policy for bf16 would have
# FSDP cast in place of autocast: the weights, the gradients before their sum, and the output, the loss.
NOTHING_CAST = MixedPrecisionPolicy(reduce_dtype=torch.float32)


def make_shardable(model: PreTrainedModel) -> None:
    """Store the NF4 weights of `model`, if it has any, as bf16 numbers."""
    quantized: Any  # torch's and bitsandbytes' types know nothing of quantized weights
    for quantized in model.modules():
        if not isinstance(quantized, Linear4bit):
            continue
        weight: Any = quantized.weight
        make: Any = Params4bit
        quantized.weight = make(
            weight.data.flatten().view(_STORAGE).unsqueeze(1),
            quant_state=weight.quant_state,
            blocksize=weight.blocksize,
            compress_statistics=weight.compress_statistics,
            quant_type=weight.quant_type,
            quant_storage=_STORAGE,
            module=quantized,
            bnb_quantized=True,
        )
        quantized.quant_storage = _STORAGE
    if getattr(model, "is_loaded_in_4bit", False):
        quantizer: Any = model.hf_quantizer
        quantizer.quantization_config.bnb_4bit_quant_storage = _STORAGE


@torch.no_grad()
def whole_adapter(model: PeftModel) -> dict[str, torch.Tensor]:
    """The whole parameters of the adapter of a sharded `model`, by name. All processes must call this."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {
        name: whole.full_tensor() if isinstance(whole, DTensor) else whole for name, whole in trained.items()
    }


@torch.no_grad()
def gather_adapter(model: PeftModel) -> None:
    """Make the adapter of a sharded `model` whole in each process. All processes must call this.

    The other weights stay sharded.
    """
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.requires_grad and isinstance(parameter, DTensor):
                module._parameters[name] = torch.nn.Parameter(parameter.full_tensor())
