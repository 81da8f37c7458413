"""params.yaml, section `runtime`: knobs that cannot change a result; no stage declares them."""

from typing import Literal

from viggo_pipe.settings.section import Positive, Section


class RuntimeSettings(Section):
    """`progress`: a bar, plain lines, or a bar only on a terminal (auto). `checkpoint_steps`: optimizer steps between
    checkpoints, at least; from the last one a killed training goes on.
    """

    progress: Literal["auto", "bar", "plain"]
    checkpoint_steps: Positive
