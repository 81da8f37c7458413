"""params.yaml, section `dataset`: where the three splits come from."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from viggo_pipe.settings.section import CommitHash, NotNegative, Positive, Section, Sha256, Text, no_flag


class Checksums(Section):
    """The sha256 of each split's CSV file; null where it is not to be verified (never so for the Hub)."""

    train: Sha256 | None
    validation: Sha256 | None
    test: Sha256 | None


class SampleSettings(Section):
    """Rows of each split of the synthetic sample, and the seed that they are drawn with."""

    train: Positive
    validation: Positive
    test: Positive
    seed: NotNegative


class DatasetSettings(Section):
    """`sample`: generated here. `hub`: `repo` at `revision`, verified by `sha256`. `local`: the folder `path`.

    `train_share`: of the training rows, how many are kept, drawn with `train_share_seed`; a larger share has the smaller's.
    """

    source: Literal["sample", "hub", "local"]
    repo: Text
    revision: CommitHash
    path: Text
    sha256: Checksums
    sample: SampleSettings
    train_share: Annotated[float, BeforeValidator(no_flag), Field(gt=0, le=1)]
    train_share_seed: NotNegative

    @model_validator(mode="after")
    def _hub_is_pinned(self) -> Self:
        missing = [split for split, checksum in self.sha256 if checksum is None]
        if self.source == "hub" and missing:
            raise ValueError(
                f"source hub needs sha256.{missing[0]}; the profiles smollm2-135m and mistral-7b hold ViGGO's three checksums"
            )
        return self
