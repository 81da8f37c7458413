"""params.yaml, section `generate`."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from viggo_pipe.config.settings.section import Flag, NotNegativeFloat, Positive, Section, no_flag


class GenerateSettings(Section):
    """Which split is predicted, and how answers are decoded."""

    split: Literal["train", "validation", "test"] = Field(
        description="Split to predict. Choose settings on validation; test is for the final figure."
    )
    constrain: Flag = Field(
        description="Hold answers to the grammar, and names to the sentence's words and training's names."
    )
    rerank: Annotated[float, BeforeValidator(no_flag), Field(ge=0.01, lt=1)] | None = Field(
        description="Complete each prefix of at least this probability, and take the likeliest answer. "
        "Finds up to 1 / rerank answers. null: greedy. The base model is always greedy."
    )
    channel_weight: NotNegativeFloat = Field(
        description="Weight of the sentence's log-probability given the answer in reranking. Above 0 it "
        "needs train.reverse_members."
    )
    batch_size: Positive = Field(description="Sentences a batch.")
    cuda_graph: Flag = Field(description="Replay a decoding step's kernels as one CUDA graph, on a GPU.")
    dequantize: Flag = Field(
        description="Expand 4-bit weights to 16 bits once: faster, in four times the memory."
    )
    max_new_tokens: Positive = Field(description="Most tokens of an answer.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rerank is not None and not self.constrain:
            raise ValueError(
                "rerank needs constrain: it is under a grammar that greedy decoding misses better answers"
            )
        if self.channel_weight and self.rerank is None:
            raise ValueError("channel_weight needs rerank: it helps to choose among several answers")
        if self.channel_weight and self.dequantize:
            raise ValueError(
                "channel_weight cannot have dequantize, which adds the other adapter to the weights for good"
            )
        return self
