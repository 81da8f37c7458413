"""What every section of params.yaml has in common: no unknown keys, no missing keys, immutable once read."""

import os
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool


class Section(BaseModel):
    """A section of params.yaml. Every key must be present: a complete file can be read without the code."""

    # YAML 1.1 reads `2e-05`, which `dvc exp run -S` writes, as a string; lax mode turns it into a number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def no_flag(value: object) -> object:
    """Python takes True for 1; a user who writes `r: true` means something else."""
    if isinstance(value, bool):
        raise ValueError("expected a number, found true or false")
    return value


def _dependency(path: object) -> object:
    """Paths are dependencies of stages. DVC needs one, and would look for a folder of the name `~`."""
    if path is None:
        raise ValueError("null is no path; name one that exists, as profiles/quickstart.yaml does")
    if isinstance(path, str) and path.startswith("~"):
        raise ValueError(f"{path} begins with ~, which DVC does not expand; write {os.path.expanduser(path)}")
    return path


_LARGEST = 2**31 - 1  # what the libraries' C code counts with
Flag = StrictBool
Positive = Annotated[int, BeforeValidator(no_flag), Field(gt=0, le=_LARGEST)]
NotNegative = Annotated[int, BeforeValidator(no_flag), Field(ge=0, le=_LARGEST)]
PositiveFloat = Annotated[float, BeforeValidator(no_flag), Field(gt=0, le=1e30)]
NotNegativeFloat = Annotated[float, BeforeValidator(no_flag), Field(ge=0, le=1e30)]
Share = Annotated[float, BeforeValidator(no_flag), Field(ge=0, lt=1)]
ShareOfAll = Annotated[float, BeforeValidator(no_flag), Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
SourcePath = Annotated[Text, BeforeValidator(_dependency)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
CommitHash = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
