"""params.yaml, section `dataset`."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from viggo_pipe.config.settings.section import (
    CommitHash,
    NotNegative,
    Positive,
    Section,
    Sha256,
    SourcePath,
    Text,
    no_flag,
)


class Checksums(Section):
    """The sha256 of each split's file. null: not verified. Source hub needs all three."""

    train: Sha256 | None = Field(description="Of the training file.")
    validation: Sha256 | None = Field(description="Of the validation file.")
    test: Sha256 | None = Field(description="Of the test file.")


class SampleSettings(Section):
    """The synthetic sample: rows of each split, and the seed of the generator."""

    train: Positive = Field(description="Training rows.")
    validation: Positive = Field(description="Validation rows.")
    test: Positive = Field(description="Test rows.")
    seed: NotNegative = Field(description="Seed of the generator.")


class DatasetSettings(Section):
    """Where the three splits come from."""

    source: Literal["sample", "hub", "local"] = Field(
        description="sample: generated here. hub: `repo` at `revision`. local: the folder `path`."
    )
    repo: Text = Field(description="Dataset on the Hub.")
    revision: CommitHash = Field(description="Commit of `repo`.")
    path: SourcePath = Field(description="Folder with train, validation and test, each as .csv or .jsonl.")
    sha256: Checksums
    sample: SampleSettings
    train_share: Annotated[float, BeforeValidator(no_flag), Field(gt=0, le=1)] = Field(
        description="Share of the training rows to keep. A larger share has all rows of a smaller one."
    )
    train_share_seed: NotNegative = Field(description="Seed that chooses them.")

    @model_validator(mode="after")
    def _hub_is_pinned(self) -> Self:
        missing = [split for split, checksum in self.sha256 if checksum is None]
        if self.source == "hub" and missing:
            raise ValueError(
                f"source hub needs sha256.{missing[0]}; the profiles smollm2-135m and mistral-7b hold "
                "ViGGO's three checksums"
            )
        return self
