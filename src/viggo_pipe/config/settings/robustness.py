"""params.yaml, section `robustness`."""

from pydantic import Field

from viggo_pipe.config.settings.section import Positive, Section


class RobustnessSettings(Section):
    """Robustness sets: the predicted split with invented names, typing slips, and so on."""

    rows: Positive | None = Field(description="First rows of the predicted split in each set. null: all.")
