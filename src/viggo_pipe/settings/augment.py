"""params.yaml, section `augment`: the variants of each training row that are trained on."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from viggo_pipe.settings.section import Positive, Section, no_flag

_Share = Annotated[float, BeforeValidator(no_flag), Field(ge=0, le=1)]


class AugmentSettings(Section):
    """`variants`: of each row; one epoch goes over all of them. The shares are of the variants; the rest stay as written.

    `new_names`: invented games and developers, other years, dates and specifiers, in sentence and MR together.
    `typing_slips`: some words mistyped. `plain_typing`: in lower case, without punctuation, or both.
    """

    variants: Positive
    new_names: _Share
    typing_slips: _Share
    plain_typing: _Share

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.new_names + self.typing_slips + self.plain_typing > 1:
            raise ValueError("new_names, typing_slips and plain_typing are shares of the variants: together at most 1")
        return self
