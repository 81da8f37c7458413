"""params.yaml, section `lora`: the adapter's shape."""

from typing import Self

from pydantic import model_validator

from viggo_pipe.settings.section import Positive, Section, Share, Text


class LoraSettings(Section):
    """peft's LoRA: rank `r`, `alpha` (the update is scaled by alpha / r), `dropout`, and where it is applied.

    `target_modules`: names of linear layers, or "all-linear" (all but the output head). `upper_layers`: adapt only that
    many decoder layers, counted from the output, so that no gradient flows below them; null adapts all.
    """

    r: Positive
    alpha: Positive
    dropout: Share
    target_modules: list[Text] | Text
    upper_layers: Positive | None

    @model_validator(mode="after")
    def _layers_need_names(self) -> Self:
        if self.upper_layers is not None and isinstance(self.target_modules, str):
            raise ValueError("upper_layers needs target_modules as a list of names, such as [q_proj, v_proj]")
        return self
