"""What every section of params.yaml has in common: no unknown keys, no missing keys, immutable once read."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A section of params.yaml. Every key must be present: a complete file is one that can be read without the code."""

    # YAML 1.1 reads `2e-05`, which `dvc exp run -S` writes, as a string; lax mode turns it into the number that it is.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
CommitHash = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
