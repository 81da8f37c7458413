import pytest
from helpers.tiny_model import write_tiny_mistral


@pytest.fixture(scope="session")
def tiny_shape(tmp_path_factory):
    """The folder of a tiny Mistral in NF4, written as the benchmarks' model is."""
    from mistral_shape import write_shape
    from transformers import AutoConfig

    tokenizer, folder = tmp_path_factory.mktemp("tokenizer"), tmp_path_factory.mktemp("shape")
    write_tiny_mistral(tokenizer)
    write_shape(folder, tokenizer, AutoConfig.from_pretrained(tokenizer))
    return folder


@pytest.fixture
def own_lock(tmp_path, monkeypatch):
    """Do not wait for other benchmarks on this machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
