"""params.yaml, section `runtime`."""

from typing import Literal

from pydantic import Field

from viggo_pipe.config.settings.section import Positive, Section


class RuntimeSettings(Section):
    """What cannot change a result. No stage declares this section, so a change of it reruns nothing."""

    progress: Literal["auto", "bar", "plain"] = Field(
        description="bar, plain lines, or auto: a bar on a terminal only."
    )
    save_steps: Positive = Field(
        description="Least optimizer steps between checkpoints. A killed training resumes from the last one."
    )
