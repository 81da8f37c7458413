"""params.yaml, section `score`."""

from pydantic import Field

from viggo_pipe.config.settings.section import NotNegative, Positive, Section


class ScoreSettings(Section):
    """The bootstrap behind the 95% confidence intervals."""

    bootstrap_resamples: Positive = Field(description="Resamples behind each interval.")
    bootstrap_seed: NotNegative = Field(description="Seed of the resampling.")
