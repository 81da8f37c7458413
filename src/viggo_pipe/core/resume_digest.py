"""A digest of all that a stage's result depends on."""

import hashlib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel

from viggo_pipe.core.checksums import sha256_of

_LIBRARY = Path(__file__).parents[1]
_INSTALLED = (
    *("torch", "transformers", "tokenizers", "gguf", "peft", "accelerate", "bitsandbytes"),
    *("datasets", "llguidance"),
)


def input_digest(
    packages: Iterable[str],
    sections: Iterable[BaseModel],
    files: Iterable[str | Path],
    texts: Iterable[str] = (),
) -> str:
    """The sha256 of a stage's code, params and inputs, and of the versions of what is installed.

    Args:
        packages: of this library, those that dvc.yaml declares for the stage.
        sections: of params.yaml.
        files: inputs; of a folder, every file counts.
        texts: inputs that stand in no file.
    """
    digest = hashlib.sha256()
    for section in sections:
        digest.update(f"{type(section).__name__} {section.model_dump_json()}\n".encode())
    for text in texts:
        digest.update(f"{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
    for package in _INSTALLED:
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    for file in _files([_LIBRARY / package for package in packages], "*.py"):
        digest.update(f"{file.relative_to(_LIBRARY).as_posix()} {sha256_of(file)}\n".encode())
    for file in _files(map(Path, files), "*"):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _files(paths: Iterable[Path], pattern: str) -> Iterable[Path]:
    """The files among `paths`, and those in their folders that match `pattern`, sorted."""
    for path in paths:
        for file in sorted(path.rglob(pattern)) if path.is_dir() else [path]:
            if file.is_file():
                yield file
