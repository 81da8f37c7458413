"""A GGUF file is converted wholly or refused in one line, once for each version of what converts it."""

import json
import shutil

import gguf
import numpy as np
import pytest
from helpers.tiny_gguf import write_tiny_gguf
from safetensors import safe_open

from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.errors import InputError
from viggo_pipe.models import gguf as converting
from viggo_pipe.models.gguf import converted_gguf


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIGGO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/converted"


@pytest.fixture
def write(tiny_folder, tmp_path, monkeypatch):
    """Writes tiny.gguf, with fields or tensors added or left out."""

    def write(fields=lambda writer: None, without=(), **added):
        class Writer(gguf.GGUFWriter):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                fields(self)

            def add_tensor(self, name, tensor):
                if not any(name.startswith(part) or f".{part}" in name for part in without):
                    super().add_tensor(name, tensor)

            def write_header_to_file(self):
                for name, tensor in added.items():
                    super().add_tensor(name, tensor)
                super().write_header_to_file()

        with monkeypatch.context() as patch:
            patch.setattr(gguf, "GGUFWriter", Writer)
            write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf")
        return tmp_path / "tiny.gguf"

    return write


def converted(path):
    return converted_gguf(path, sha256_of(path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields": lambda w: w.add_uint16("split.count", 2)}, "is one of 2 files of a model; merge them"),
        ({"fields": lambda w: w.add_type("adapter")}, "holds no model but what GGUF calls 'adapter'"),
        ({"without": [""]}, "holds a vocabulary and no weights"),
        ({"without": ["ffn_up"]}, "1 missing (model.layers.0.mlp.up_proj.weight)"),
        ({"without": ["attn_"]}, "missing (model.layers.0."),
        ({"rope_freqs.weight": np.ones(8, np.float32)}, "of 101,064 weights it finds 101,056"),
        ({"blk.0.attn_q.bias": np.ones(64, np.float32)}, "of 101,120 weights it finds 101,056"),
    ],
    ids=["split", "adapter", "vocabulary", "missing", "half", "rope factors", "bias"],
)
def test_what_is_not_read_as_a_whole_model_is_refused(write, cache, changes, words):
    path = write(**changes)
    with pytest.raises(InputError) as raised:
        converted(path)
    assert words in str(raised.value) and str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert [each.suffix for each in cache.iterdir()] == [".lock"]


@pytest.mark.parametrize("length", [3, 5000, -1000])
def test_a_cut_off_file_is_refused(write, cache, length):
    path = write()
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match="cannot be read as a GGUF model") as raised:
        converted(path)
    assert "\n" not in str(raised.value)
    assert [each.suffix for each in cache.iterdir()] == [".lock"]


def test_a_file_without_a_head_has_a_tied_one(write):
    folder = converted(write(without=["output.weight"]))
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["tie_word_embeddings"] is True
    with safe_open(folder / "model.safetensors", framework="np") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118


def test_another_version_of_what_converts_converts_anew(write, monkeypatch, tmp_path):
    path = write()
    first = converted(path)
    assert converted(path) == first
    version = converting.metadata.version
    for package in ("transformers", "gguf"):
        with monkeypatch.context() as patch:
            patch.setattr(
                converting.metadata, "version", lambda name, p=package: "0" if name == p else version(name)
            )
            other = converted(path)
        assert other != first and (other / "config.json").is_file()
    module = shutil.copy(converting.__file__, tmp_path / "gguf.py")
    with monkeypatch.context() as patch:
        patch.setattr(converting, "__file__", str(module))
        assert converted(path) == first
        module = tmp_path / "gguf.py"
        module.write_bytes(module.read_bytes() + b"# changed\n")
        assert converted(path) != first
