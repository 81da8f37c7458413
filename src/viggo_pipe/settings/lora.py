"""params.yaml, section `lora`: the adapter's shape."""

from typing import Annotated

from pydantic import Field

from viggo_pipe.settings.section import Positive, Section, Text


class LoraSettings(Section):
    """peft's LoRA: rank `r`, `alpha` (the update is scaled by alpha / r), `dropout`, and where it is applied.

    `target_modules`: names of linear layers, or "all-linear" (all but the output head). `upper_layers`: adapt only that
    many decoder layers, counted from the output, so that no gradient flows below them; null adapts all.
    """

    r: Positive
    alpha: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: list[Text] | Text
    upper_layers: Positive | None
