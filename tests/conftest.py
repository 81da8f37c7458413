import os
import signal
from pathlib import Path

import pytest

import viggo_pipe.interrupt  # noqa: F401 (so that what it does to signals is done, and undone)

signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest's own Ctrl-C
signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="session")
def viggo_folder():
    """The folder of ViGGO's published CSV files, for tests under the marker `viggo`: VIGGO_DATA names it."""
    folder = Path(os.environ.get("VIGGO_DATA") or Path(__file__).parents[1] / ".." / "shared" / "viggo")
    if not (folder / "train.csv").is_file():
        pytest.skip("the real ViGGO files are not here; VIGGO_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """The folder of a tiny Mistral with random weights, which tests only read."""
    from tiny_model import write_tiny_mistral

    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_mistral(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_parts(tiny_folder):
    """That model in fp32, its tokenizer, and an encoder whose prompt is the sentence."""
    import torch
    from transformers import AutoModelForCausalLM

    from viggo_pipe.base_model import BaseModel
    from viggo_pipe.prompt import PromptEncoder
    from viggo_pipe.settings.prompt import PromptSettings
    from viggo_pipe.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(BaseModel(tiny_folder, "tiny", None))
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    return model, tokenizer, PromptEncoder(tokenizer, PromptSettings(template="{sentence}\n", reverse=None))
