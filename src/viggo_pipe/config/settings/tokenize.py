"""params.yaml, section `tokenize`."""

from typing import Literal

from pydantic import Field

from viggo_pipe.config.settings.section import Positive, Section


class TokenizeSettings(Section):
    """How long a row may be."""

    max_length: Positive = Field(description="Most tokens of prompt, answer and EOS together.")
    overflow: Literal["error", "drop", "truncate"] = Field(
        description="What to do with a longer row. error: stop. drop: leave it out. truncate: cut it off."
    )
