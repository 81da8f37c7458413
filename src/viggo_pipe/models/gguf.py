"""Converts a .gguf file to a folder in transformers' format."""

import contextlib
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.core.files import atomic_folder, explaining_full_disk
from viggo_pipe.models.cache import cache_folder, cache_lock

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def converted_gguf(path: Path, sha256: str) -> Path:
    """The folder in the cache with the model of `path`, which is converted if it is not there.

    Raises:
        InputError: transformers cannot read the file; or it is not in the cache, which cannot be written to.
    """
    folder = cache_folder() / "converted" / sha256[:16]
    if (folder / "config.json").is_file():  # it appeared whole; the cache may be somebody else's
        return folder
    # Two pipelines on one machine share this cache: the second waits for the first one's copy.
    with cache_lock(folder.with_suffix(".lock")):
        if not (folder / "config.json").is_file():
            print(f"converting {path.name} for transformers, once, to {folder}", flush=True)
            with explaining_full_disk(folder):
                _convert(path, folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    """Write the dequantized model of `path`, as bf16 safetensors, and its tokenizer to `folder`, whole or not
    at all.

    A model read from GGUF stays marked as quantized, and can be neither saved nor quantized to NF4. A plain
    copy can. It loads in a second, where reading the GGUF file takes twenty.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        # The bar over the tensors has no switch.
        with contextlib.redirect_stderr(io.StringIO()), tempfile.TemporaryDirectory() as alone:
            # transformers would also read what lies beside the file, such as a config.json that names code.
            Path(alone, path.name).symlink_to(path.resolve())
            source = {"gguf_file": path.name, "trust_remote_code": False, "local_files_only": True}
            tokenizer = AutoTokenizer.from_pretrained(alone, **source)
            _restore_tokenizer(tokenizer, path)
            read = AutoModelForCausalLM.from_pretrained(alone, dtype=torch.float32, **source)
    except (ValueError, KeyError, OSError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read as a GGUF model: {one_line(error)}") from error
    config = read.config
    if hasattr(config, "quantization_config"):
        delattr(config, "quantization_config")
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    with atomic_folder(folder) as partial:
        plain.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def _restore_tokenizer(tokenizer: "PreTrainedTokenizerFast", path: Path) -> None:
    """Give `tokenizer` the special tokens of the file, and byte-level pieces only a byte-level decoder.

    transformers' versions read a GGUF file's tokenizer differently. 5.17 ends texts with BOS, and its decoder
    hides from llguidance that pieces are byte-level.
    """
    import gguf
    from tokenizers import decoders, pre_tokenizers

    fields = gguf.GGUFReader(path).fields
    for name, attribute in (("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token")):
        field = fields.get(f"tokenizer.ggml.{name}_token_id")
        if field is not None:
            token = tokenizer.convert_ids_to_tokens(int(field.contents()))
            setattr(tokenizer, attribute, token)
    if isinstance(tokenizer.backend_tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
