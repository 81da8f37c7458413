"""Converts a .gguf file to a folder in transformers' format."""

import contextlib
import hashlib
import io
import struct
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.core.files import atomic_folder, explaining_full_disk
from viggo_pipe.models.cache import cache_folder, cache_lock

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_CONVERTING = ("transformers", "gguf", "tokenizers")


def converted_gguf(path: Path, sha256: str) -> Path:
    """The folder in the cache with the model of `path`, which is converted if it is not there.

    Another version of what converts it has another folder.

    Raises:
        InputError: transformers cannot read the file, or not wholly; or it is not in the cache, which cannot
            be written to.
    """
    folder = cache_folder() / "converted" / f"{sha256[:16]}-{_converter()[:8]}"
    if (folder / "config.json").is_file():  # it appeared whole; the cache may be somebody else's
        return folder
    # Two pipelines on one machine share this cache: the second waits for the first one's copy.
    with cache_lock(folder.with_suffix(".lock")):
        if not (folder / "config.json").is_file():
            print(f"converting {path.name} for transformers, once, to {folder}", flush=True)
            with explaining_full_disk(folder):
                _convert(path, folder)
    return folder


def _converter() -> str:
    """The sha256 of what converts: this module, and the versions of the libraries that it calls."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in _CONVERTING:
        digest.update(f"{package} {metadata.version(package)}\n".encode())
    return digest.hexdigest()


def _convert(path: Path, folder: Path) -> None:
    """Write the dequantized model of `path`, as bf16 safetensors, and its tokenizer to `folder`, whole or not
    at all.

    A model read from GGUF stays marked as quantized, and can be neither saved nor quantized to NF4. A plain
    copy can. It loads in a second, where reading the GGUF file takes twenty.
    """
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from viggo_pipe.models.loading_info import loading_fault, only_errors

    try:
        file = gguf.GGUFReader(path)
        _check_file(path, file)
        # The bar over the tensors has no switch.
        with (
            contextlib.redirect_stderr(io.StringIO()),
            only_errors(),
            tempfile.TemporaryDirectory() as alone,
        ):
            # transformers would also read what lies beside the file, such as a config.json that names code.
            Path(alone, path.name).symlink_to(path.resolve())
            source = {"gguf_file": path.name, "trust_remote_code": False, "local_files_only": True}
            tokenizer = AutoTokenizer.from_pretrained(alone, **source)
            _restore_tokenizer(tokenizer, file)
            found: Any = AutoModelForCausalLM.from_pretrained(
                alone, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True, **source
            )
    except (
        ValueError,
        LookupError,
        OSError,
        TypeError,
        AttributeError,
        RuntimeError,
        struct.error,
    ) as error:
        raise InputError(f"{path} cannot be read as a GGUF model: {one_line(error)[:300]}") from error
    read, loading = found
    fault = loading_fault(loading) or _unread(file, read)
    if fault is not None:
        raise InputError(
            f"{path}: transformers does not read it as a whole {type(read).__name__}: {fault}; use the "
            "whole file, or the model in transformers' format"
        )
    config = read.config
    if hasattr(config, "quantization_config"):
        delattr(config, "quantization_config")
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    with atomic_folder(folder) as partial:
        plain.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def _check_file(path: Path, file: "GGUFReader") -> None:
    """Check what the file says that it is.

    Raises:
        InputError: it is one part of a model, no model, or a vocabulary alone.
    """

    def field(name: str) -> Any:
        found = file.fields.get(name)
        return None if found is None else found.contents()

    parts, kind = field("split.count") or 1, field("general.type") or "model"
    if parts > 1:
        raise InputError(
            f"{path} is one of {parts} files of a model; merge them (llama-gguf-split --merge) and name "
            "what comes of it"
        )
    if kind != "model":
        raise InputError(
            f"{path} holds no model but what GGUF calls {str(kind)[:40]!r}; name the model's file"
        )
    if not file.tensors:
        raise InputError(f"{path} holds a vocabulary and no weights; name the model's file")


def _unread(file: "GGUFReader", read: "PreTrainedModel") -> str | None:
    """What is wrong in words if `read` has another number of weights than the file: transformers passes over
    tensors that it has no name for.
    """
    embedding: Any = read.get_input_embeddings()
    head: Any = read.get_output_embeddings()
    tied = head.weight is embedding.weight
    held = sum(
        int(tensor.n_elements) for tensor in file.tensors if not (tied and tensor.name == "output.weight")
    )
    found = sum(parameter.numel() for parameter in read.parameters())
    return None if held == found else f"of {held:,} weights it finds {found:,}"


def _restore_tokenizer(tokenizer: "PreTrainedTokenizerFast", file: "GGUFReader") -> None:
    """Give `tokenizer` the special tokens of the file, and byte-level pieces only a byte-level decoder.

    transformers' versions read a GGUF file's tokenizer differently. 5.17 ends texts with BOS, and its decoder
    hides from llguidance that pieces are byte-level.
    """
    from tokenizers import decoders, pre_tokenizers

    for name, attribute in (("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token")):
        field = file.fields.get(f"tokenizer.ggml.{name}_token_id")
        if field is not None:
            token = tokenizer.convert_ids_to_tokens(int(field.contents()))
            setattr(tokenizer, attribute, token)
    if isinstance(tokenizer.backend_tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
