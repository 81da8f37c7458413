"""params.yaml, section `lora`. Names are those of peft's LoraConfig."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from viggo_pipe.config.settings.section import Positive, Section, Share, Text


class LoraSettings(Section):
    """The adapter's shape, in the names of peft's LoraConfig."""

    r: Positive = Field(description="Rank.")
    lora_alpha: Positive = Field(description="The update is scaled by lora_alpha / r.")
    lora_dropout: Share = Field(description="Dropout on the adapter's input.")
    target_modules: Annotated[list[Text], Field(min_length=1)] | Text = Field(
        description="Names of linear layers to adapt, or all-linear (all but the output head)."
    )
    upper_layers: Positive | None = Field(
        description="Adapt only this many decoder layers, counted from the output. No gradient flows below "
        "them, which saves time and memory. null: all."
    )

    @model_validator(mode="after")
    def _layers_need_names(self) -> Self:
        if self.upper_layers is not None and isinstance(self.target_modules, str):
            raise ValueError("upper_layers needs target_modules as a list of names, such as [q_proj, v_proj]")
        return self
