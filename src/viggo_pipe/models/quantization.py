"""How a checkpoint is brought to the bits of params.yaml. Of one that is quantized already, codes must not be
read as weights.
"""

from typing import Any

import torch
from transformers import AutoConfig, BitsAndBytesConfig

from viggo_pipe.config.settings.quantize import QuantizeSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.models.checkpoint_files import read_config, tensor_dtypes, weight_files

_KEYS = ("quantization_config", "compression_config")  # the second is what compressed-tensors began with
_NF4 = {
    "quant_method": "bitsandbytes",
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_quant_storage": "uint8",
}
_DEFAULTS = {"bnb_4bit_quant_storage": "uint8"}


def quantization_arguments(base: BaseCheckpoint, settings: QuantizeSettings) -> dict[str, Any]:
    """Arguments of `from_pretrained` that load `base` in the bits of `settings`. Only config.json is read.

    A checkpoint that is in NF4 already is loaded as it is, and computed in bf16 as the others are.

    Raises:
        InputError: the checkpoint is quantized already, and not as `settings` say.
    """
    own = _own_quantization(read_config(base.folder))
    if own is None:
        return {"quantization_config": _nf4(settings)} if settings.bits == 4 else {}
    method = f"{base.name} is quantized already ({_method(own)})"
    if any((_DEFAULTS | own).get(key) != value for key, value in _NF4.items()):
        raise InputError(f"{method}, and cannot be read exactly: name the model that it was made from")
    double_quant = own.get("bnb_4bit_use_double_quant", False)
    if (settings.bits, settings.double_quant) != (4, double_quant):
        raise InputError(
            f"{method}: set quantize.bits to 4 and quantize.double_quant to {str(double_quant).lower()}, or "
            "name the model that it was made from"
        )
    config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
    config.quantization_config = own | {"bnb_4bit_compute_dtype": "bfloat16"}
    return {"config": config}


def is_quantized(base: BaseCheckpoint) -> bool:
    """Whether the checkpoint holds codes, and says so."""
    return _own_quantization(read_config(base.folder)) is not None


def check_no_codes(base: BaseCheckpoint) -> None:
    """Check that a checkpoint that is not said to be quantized holds no codes of 8 bits as weights.

    Raises:
        InputError: it does.
    """
    for path in weight_files(base.folder):
        for name, dtype in tensor_dtypes(path).items():
            if dtype.startswith("F8") or (dtype in {"I8", "U8"} and name.endswith("weight")):
                raise InputError(
                    f"{base.name} is quantized already, though its config.json does not say so ({name} is "
                    f"{dtype}), and cannot be read exactly: name the model that it was made from"
                )


def _nf4(settings: QuantizeSettings) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=settings.double_quant,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _own_quantization(config: dict[str, Any]) -> dict[str, Any] | None:
    """What config.json says about it, for the whole model or for a part such as `text_config`."""
    for part in (config, *config.values()):
        for key in _KEYS if isinstance(part, dict) else ():
            if part.get(key):
                return part[key] if isinstance(part[key], dict) else {"quant_method": str(part[key])}
    return None


def _method(own: dict[str, Any]) -> str:
    """The method in words, such as bitsandbytes 8-bit."""
    words = [str(own.get("quant_method", "bitsandbytes"))]
    if own.get("load_in_8bit"):
        words.append("8-bit")
    if own.get("load_in_4bit"):
        words.append(f"4-bit {own.get('bnb_4bit_quant_type', 'fp4')}")
    return " ".join(words)[:80]
