import os
import signal
from pathlib import Path

# Before torch is imported, here and in every process that a test starts. A tiny model gains nothing by
# threads, and those that wait in loops take the cores from other processes.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
os.environ |= {
    "DVC_NO_ANALYTICS": "1",
    "DVC_TEST": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}  # ask nobody

import pytest
from hypothesis import HealthCheck, settings

import viggo_pipe.core.signals  # noqa: F401 (so that what it does to signals is done, and undone)

signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest's own Ctrl-C
signal.signal(signal.SIGTERM, signal.SIG_DFL)

# 100 times as many inputs for each property: minutes. HYPOTHESIS_PROFILE=nightly selects it.
settings.register_profile(
    "nightly", max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck)
)
if "HYPOTHESIS_PROFILE" in os.environ:
    settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])


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
    from helpers.tiny_model import write_tiny_mistral

    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_mistral(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_parts(tiny_folder):
    """That model in fp32, its tokenizer, and an encoder whose prompt is the sentence."""
    import torch
    from transformers import AutoModelForCausalLM

    from viggo_pipe.config.settings.prompt import PromptSettings
    from viggo_pipe.models.base_model import BaseCheckpoint
    from viggo_pipe.models.tokenizer import load_tokenizer
    from viggo_pipe.tokens.prompt import PromptEncoder

    tokenizer = load_tokenizer(BaseCheckpoint(tiny_folder, "tiny", None))
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    return model, tokenizer, PromptEncoder(tokenizer, PromptSettings(template="{sentence}\n", reverse=None))
