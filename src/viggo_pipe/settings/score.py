"""params.yaml, section `score`: the bootstrap behind the confidence intervals."""

from viggo_pipe.settings.section import NotNegative, Positive, Section


class ScoreSettings(Section):
    """`bootstrap_resamples`: resamples behind each 95% interval. `bootstrap_seed`: what they are drawn with."""

    bootstrap_resamples: Positive
    bootstrap_seed: NotNegative
