"""What FSDP needs of a model before it spreads it over several processes, and what is left of that after training.

FSDP shards weights in floating-point dtypes alone (peft's documentation, "Use PEFT QLoRA and FSDP"): the bytes of NF4 weights are
taken for bf16 numbers, which nothing computes with and nothing may cast.
"""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from peft import PeftModel
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

_STORAGE = torch.bfloat16

FSDP_CONFIG = {"version": 2, "reshard_after_forward": True, "state_dict_type": "FULL_STATE_DICT"}
# FSDP casts no weight and no output, and sums gradients in fp32. Under accelerate's own policy for bf16, FSDP casts in place of
# autocast: not only weights, but the gradients that it sums, and what the model gives, which is the loss.
NOTHING_CAST = MixedPrecisionPolicy(reduce_dtype=torch.float32)


def make_shardable(model: PreTrainedModel) -> None:
    """Have the NF4 weights of `model`, where it has any, stored in bf16."""
    for module in model.modules():
        if not isinstance(module, Linear4bit):
            continue
        weight = module.weight
        module.weight = Params4bit(
            weight.data.flatten().view(_STORAGE).unsqueeze(1),
            quant_state=weight.quant_state,
            blocksize=weight.blocksize,
            compress_statistics=weight.compress_statistics,
            quant_type=weight.quant_type,
            quant_storage=_STORAGE,
            module=module,
            bnb_quantized=True,
        )
        module.quant_storage = _STORAGE
    if getattr(model, "is_loaded_in_4bit", False):
        model.hf_quantizer.quantization_config.bnb_4bit_quant_storage = _STORAGE


@torch.no_grad()
def whole_adapter(model: PeftModel) -> dict[str, torch.Tensor]:
    """The adapter's parameters, by their names in a sharded `model`, whole, for all processes, which all call this at once."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: whole.full_tensor() if isinstance(whole, DTensor) else whole for name, whole in trained.items()}


@torch.no_grad()
def gather_adapter(model: PeftModel) -> None:
    """Make the adapter of a sharded `model` whole in each process, which all call this at once; the rest stays sharded."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.requires_grad and isinstance(parameter, DTensor):
                module._parameters[name] = torch.nn.Parameter(parameter.full_tensor())
