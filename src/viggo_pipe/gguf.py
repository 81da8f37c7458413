"""Turns a .gguf file into a folder in transformers' format."""

import contextlib
import io
import tempfile
from pathlib import Path

from viggo_pipe.errors import InputError
from viggo_pipe.files import atomic_folder


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the dequantized model of `path`, as bf16 safetensors, and its tokenizer to `folder`; all of it or nothing.

    A model read from GGUF keeps the file's quantization about it: it can be neither saved nor quantized anew to NF4. A
    plain copy can, and it loads in a second, where each reading of the GGUF file takes twenty.

    Raises:
        InputError: transformers cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        # Its bar over the tensors heeds no switch.
        with contextlib.redirect_stderr(io.StringIO()), tempfile.TemporaryDirectory() as alone:
            # What lies beside the file would be read too, a config.json that names code, say.
            Path(alone, path.name).symlink_to(path.resolve())
            source = {"pretrained_model_name_or_path": alone, "gguf_file": path.name}
            source |= {"trust_remote_code": False, "local_files_only": True}
            tokenizer = _as_written(AutoTokenizer.from_pretrained(**source), path)
            read = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    except (ValueError, KeyError, OSError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read as a GGUF model: {' '.join(str(error).split())}") from error
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    with atomic_folder(folder) as partial:
        plain.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def _as_written(tokenizer, path: Path):
    """The tokenizer with the special tokens of the file, and for byte-level pieces a byte-level decoder alone.

    What transformers makes of a GGUF file's tokenizer differs between its versions: 5.17 ends texts with BOS, and has a
    decoder from which llguidance does not see that pieces are byte-level.
    """
    import gguf
    from tokenizers import decoders, pre_tokenizers

    fields = gguf.GGUFReader(path).fields
    for name in ("bos", "eos", "unknown"):
        field = fields.get(f"tokenizer.ggml.{name}_token_id")
        if field is not None:
            token = tokenizer.convert_ids_to_tokens(int(field.contents()))
            setattr(tokenizer, {"unknown": "unk_token"}.get(name, f"{name}_token"), token)
    if isinstance(tokenizer.backend_tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
