"""params.yaml, section `probe`: how much of the predicted split the probes ask about."""

from viggo_pipe.settings.section import Positive, Section


class ProbeSettings(Section):
    """`rows`: the first so many of the split, in each probe; null: all."""

    rows: Positive | None
