"""params.yaml, section `tokenize`: how long a row may be, and what happens to a longer one."""

from typing import Literal

from viggo_pipe.settings.section import Positive, Section


class TokenizeSettings(Section):
    """`max_length`: tokens of prompt, answer and EOS together. `overflow`: what to do with a row that is longer."""

    max_length: Positive
    overflow: Literal["error", "drop", "truncate"]
