"""params.yaml, section `runtime`: knobs that cannot change a result; no stage declares them."""

from typing import Literal

from viggo_pipe.settings.section import Section


class RuntimeSettings(Section):
    """`progress`: a bar, plain lines, or a bar only on a terminal (auto)."""

    progress: Literal["auto", "bar", "plain"]
