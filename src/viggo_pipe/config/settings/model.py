"""params.yaml, section `model`."""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from viggo_pipe.config.settings.section import CommitHash, Section, Sha256, SourcePath, Text

_NEEDED = {"package": ("package", "file", "sha256"), "hub": ("repo", "revision"), "local": ()}


def _name_and_version(package: str) -> str:
    """pip takes options, paths and addresses in the same place, and builds what it finds: that runs its
    code.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*", package):
        raise ValueError(f"{package!r} is not a name and a version of the package index, such as name==1.0")
    return package


class ModelSettings(Section):
    """The base model, pinned by a checksum or a commit hash. Most keys of the other sources may be null."""

    source: Literal["package", "hub", "local"] = Field(
        description="package: `file` in a wheel of the package index. hub: `repo` at `revision`. local: "
        "`path`."
    )
    package: Annotated[Text, AfterValidator(_name_and_version)] | None = Field(
        description="Name and version of the wheel."
    )
    file: Text | None = Field(description="A .gguf file in the wheel.")
    sha256: Sha256 | None = Field(
        description="Of the file, or of the files that hold a folder's weights, one after the other. null: "
        "not verified (source package needs it)."
    )
    repo: Text | None = Field(description="Model on the Hub.")
    revision: CommitHash | None = Field(description="Commit of `repo`.")
    path: SourcePath = Field(
        description="Folder in transformers' format, or a .gguf file. Stages depend on it, so it must exist, "
        "whatever the source."
    )

    @property
    def name(self) -> str:
        """What to call the model: its Hub id, the package and file, or its folder's or file's name."""
        if self.source == "hub":
            return str(self.repo)
        if self.source == "package":
            return f"{PurePosixPath(str(self.file)).stem} ({self.package})"
        return Path(str(self.path)).name

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        for key in _NEEDED[self.source]:
            if getattr(self, key) is None:
                raise ValueError(f"source {self.source} needs the key {key}")
        return self
