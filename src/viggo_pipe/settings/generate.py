"""params.yaml, section `generate`: which split is predicted, and greedy decoding's limits."""

from typing import Literal

from viggo_pipe.settings.section import Flag, Positive, Section


class GenerateSettings(Section):
    """`split`: validation for choosing, test for the final figure. `constrain`: hold answers to ViGGO's grammar.

    `batch_size`: sentences. `max_new_tokens`: per sentence. `cuda_graph`: decode by CUDA graphs, on a GPU.
    `dequantize`: expand 4-bit weights to 16 bits once, which takes four times their memory.
    """

    split: Literal["train", "validation", "test"]
    constrain: Flag
    batch_size: Positive
    cuda_graph: Flag
    dequantize: Flag
    max_new_tokens: Positive
