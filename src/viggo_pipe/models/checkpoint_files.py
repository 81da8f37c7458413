"""The files of a folder in transformers' format: which of them are the model, and whether they are whole."""

import hashlib
import json
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.errors import InputError, one_line

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
# Where such a file lies, transformers reads other weights than those above, or more.
_DIVERTING = re.compile(r"adapter_config\.json|shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")
# Kinds of files that a configuration or a tokenizer is read from.
_READ = {".json", ".txt", ".model", ".tiktoken", ".jinja", ".bpe", ".spm"}


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers reads the weights in `folder` from, sorted: model.safetensors, or else
    those that its index names. They are whole.

    A safetensors file begins with its length, so a cut-off one is found without reading it. transformers
    opens whatever the index or config.json names, even a pickle elsewhere.

    Raises:
        InputError: there are none, one is damaged or not named as it should be, or transformers would read
            other weights too.
    """
    _check_nothing_diverts(folder)
    if (folder / _WEIGHTS).is_file():
        files = [folder / _WEIGHTS]
    elif (folder / _INDEX).is_file():
        files = _named_by_index(folder)
    else:
        raise InputError(
            f"{folder} holds neither {_WEIGHTS} nor {_INDEX}: save the whole model there, with "
            "save_pretrained and safe serialization"
        )
    names: set[str] = set()
    for path in files:
        dtypes = tensor_dtypes(path)
        twice = sorted(names & dtypes.keys())
        if twice:
            raise InputError(
                f"{folder}: {twice[0]} stands in two files, {path.name} and another; fetch the model anew"
            )
        names |= dtypes.keys()
    return files


def tensor_dtypes(path: Path) -> dict[str, str]:
    """The names of the tensors in a safetensors file, and their dtypes as its header has them, such as BF16.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is damaged ({one_line(error)}); delete the folder {path.parent} and run again, or fetch "
            "the model anew"
        ) from error


def read_config(folder: Path) -> dict:
    """What the config.json of `folder` holds.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path} ({one_line(error)}); fetch or save the model anew") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no configuration; fetch or save the model anew")
    return content


def content_digest(folder: Path, weights_sha256: str) -> str:
    """A sha256 that changes with all that is read of `folder`: names and contents of the files of its
    configuration and tokenizer, and the weights, whose own sha256 is given.
    """
    digest = hashlib.sha256(f"weights {weights_sha256}\n".encode())
    for path in sorted(folder.iterdir()):
        if path.suffix in _READ and path.is_file():
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _check_nothing_diverts(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.name == "adapter_config.json":
            raise InputError(
                f"{folder} holds {path.name}, and transformers would put that adapter on the model: move it "
                "away if the model is whole without it, else merge it and name the merged model's folder"
            )
        if _DIVERTING.fullmatch(path.name):
            raise InputError(
                f"{folder} holds {path.name}, a part of a distributed checkpoint: save the whole model in "
                f"{_WEIGHTS}, in a folder of its own"
            )
    if read_config(folder).get("transformers_weights") is not None:
        raise InputError(
            f"{folder / 'config.json'}: transformers_weights names other weights than {_WEIGHTS}: save the "
            "model anew, without that key"
        )


def _named_by_index(folder: Path) -> list[Path]:
    index = folder / _INDEX
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if not named:
            raise ValueError("it names no file")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{index} is no index of weights ({one_line(error)}); fetch the model anew"
        ) from error
    held = {path.name for path in folder.glob("*.safetensors")}
    if named - held:
        raise InputError(
            f"{index} names {min(map(str, named - held))!r}, which is no .safetensors file of that folder; "
            "fetch the model anew, or save it with safe serialization"
        )
    return [folder / name for name in sorted(named)]
