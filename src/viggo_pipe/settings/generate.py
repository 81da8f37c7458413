"""params.yaml, section `generate`: which split is predicted, and how answers are decoded."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from viggo_pipe.settings.section import Flag, Positive, Section, no_flag


class GenerateSettings(Section):
    """`split`: validation for choosing, test for the final figure. `constrain`: hold answers to ViGGO's grammar.

    `alternatives`: prefixes that have at least this probability under the grammar are completed, and of the answers the one is
    taken that the model gives the highest probability; null: the greedy one. The base model answers greedily anyway. From 0.01
    on: there can be 1 / `alternatives` answers a sentence.
    `batch_size`: sentences. `max_new_tokens`: per sentence. `cuda_graph`: decode by CUDA graphs, on a GPU.
    `dequantize`: expand 4-bit weights to 16 bits once, which takes four times their memory.
    """

    split: Literal["train", "validation", "test"]
    constrain: Flag
    alternatives: Annotated[float, BeforeValidator(no_flag), Field(ge=0.01, lt=1)] | None
    batch_size: Positive
    cuda_graph: Flag
    dequantize: Flag
    max_new_tokens: Positive

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.alternatives is not None and not self.constrain:
            raise ValueError("alternatives needs constrain: it is under a grammar that greedy decoding misses better answers")
        return self
