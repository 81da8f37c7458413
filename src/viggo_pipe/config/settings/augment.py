"""params.yaml, section `augment`."""

from typing import Self

from pydantic import Field, model_validator

from viggo_pipe.config.settings.section import Positive, Section, ShareOfAll


class AugmentSettings(Section):
    """Variants of the training rows. The shares are of the variants; the rest stay as written."""

    variants: Positive = Field(description="Variants of each training row. One epoch goes over all of them.")
    new_names: ShareOfAll = Field(
        description="Share with invented games and developers, and other years, dates and specifiers."
    )
    typing_slips: ShareOfAll = Field(description="Share in which some words are mistyped.")
    plain_typing: ShareOfAll = Field(description="Share in lower case, without punctuation, or both.")

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.new_names + self.typing_slips + self.plain_typing > 1:
            raise ValueError(
                "new_names, typing_slips and plain_typing are shares of the variants: together at most 1"
            )
        return self
