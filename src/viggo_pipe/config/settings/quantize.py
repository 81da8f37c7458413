"""params.yaml, section `quantize`."""

from typing import Literal

from pydantic import Field

from viggo_pipe.config.settings.section import Flag, Section


class QuantizeSettings(Section):
    """The precision of the base model's weights."""

    bits: Literal[4, 16, 32] = Field(
        description="4: NF4 with bf16 compute. 16: bf16, faster than NF4 on a CPU at small batches. 32: fp32."
    )
    double_quant: Flag = Field(description="Quantize NF4's scales too (QLoRA, section 3).")
