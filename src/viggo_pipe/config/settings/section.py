"""What every section of params.yaml has in common: no unknown keys, no missing keys, immutable once read."""

import os.path
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


_OUT_FOLDERS = ("models/adapter", "predictions/robustness")  # outs of stages in dvc.yaml
_FOLDERS_OF_OUTS = ("data/raw", "data/tokenized", "metrics", "plots/base", "plots/tuned", "reports")


def _source_path(path: object) -> object:
    """`path`, if DVC takes it for a dependency, whatever the source.

    DVC stops before any of this code runs, and does not name the setting.
    """
    if path is None:
        raise ValueError("null is no path; name one that exists, as profiles/quickstart.yaml does")
    if not isinstance(path, str):
        return path
    if path.startswith("~"):
        raise ValueError(f"write {path!r} out, as {os.path.expanduser(path)!r}: DVC does not expand ~")
    ours = os.path.abspath(path)
    for folder in (*_OUT_FOLDERS, *_FOLDERS_OF_OUTS):
        written = os.path.abspath(folder)
        common = os.path.commonpath([ours, written])
        if common == ours or (common == written and folder in _OUT_FOLDERS):
            where = "is" if ours == written else "holds" if common == ours else "is in"
            raise ValueError(f"{path!r} {where} {folder!r}, which the pipeline writes; name another folder")
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
# A file or folder that dvc.yaml names as a stage's dependency.
SourcePath = Annotated[Text, BeforeValidator(_source_path)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
CommitHash = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
