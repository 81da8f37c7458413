"""params.yaml, section `generate`: which split is predicted, and greedy decoding's limits."""

from typing import Literal

from viggo_pipe.settings.section import Positive, Section


class GenerateSettings(Section):
    """`split`: validation for choosing, test for the final figure. `max_new_tokens`: per sentence. `batch_size`: sentences."""

    split: Literal["train", "validation", "test"]
    batch_size: Positive
    max_new_tokens: Positive
