"""params.yaml, section `quantize`: the precision that the base model's weights are held in."""

from typing import Literal

from viggo_pipe.settings.section import Flag, Section


class QuantizeSettings(Section):
    """`bits`: 4 (NF4 with bf16 compute), 16 (bf16) or 32. `double_quant`: also quantize NF4's scales (QLoRA, section 3)."""

    bits: Literal[4, 16, 32]
    double_quant: Flag
