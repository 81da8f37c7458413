"""params.yaml, section `generate`: which split is predicted, and how answers are decoded."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from viggo_pipe.settings.section import Flag, NotNegativeFloat, Positive, Section, no_flag


class GenerateSettings(Section):
    """`split`: validation for choosing, test for the final figure. `constrain`: hold answers to ViGGO's grammar.

    `alternatives`: prefixes that have at least this probability under the grammar are completed, and of the answers the one is
    taken that the model gives the highest probability; null: the greedy one. The base model answers greedily anyway. From 0.01
    on: there can be 1 / `alternatives` answers a sentence. `reverse_weight`: the power to which the probability of the sentence
    given the answer is multiplied to the answer's own, as the adapter of `train.reverse_members` has it; 0: not asked.
    `batch_size`: sentences. `max_new_tokens`: per sentence. `cuda_graph`: decode by CUDA graphs, on a GPU.
    `dequantize`: expand 4-bit weights to 16 bits once, which takes four times their memory.
    """

    split: Literal["train", "validation", "test"]
    constrain: Flag
    alternatives: Annotated[float, BeforeValidator(no_flag), Field(ge=0.01, lt=1)] | None
    reverse_weight: NotNegativeFloat
    batch_size: Positive
    cuda_graph: Flag
    dequantize: Flag
    max_new_tokens: Positive

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.alternatives is not None and not self.constrain:
            raise ValueError("alternatives needs constrain: it is under a grammar that greedy decoding misses better answers")
        if self.reverse_weight and self.alternatives is None:
            raise ValueError("reverse_weight needs alternatives: it is among several answers that it helps to choose")
        if self.reverse_weight and self.dequantize:
            raise ValueError("reverse_weight cannot have dequantize, which adds the other adapter to the weights for good")
        return self
