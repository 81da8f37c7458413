import hashlib
import os
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.base_model import find_base_model

EMPTY = {"package": None, "file": None, "sha256": None, "repo": None, "revision": None, "path": "data/model"}


def settings(**keys) -> ModelSettings:
    return ModelSettings(**EMPTY | keys)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIGGO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder in the place of the package index, with one wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/model.gguf", b"weights")
        wheel.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        wheel.writestr(
            "tiny_weights-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def package(member="tiny_weights/model.gguf", content=b"weights", name="tiny-weights==1.0") -> ModelSettings:
    return settings(source="package", package=name, file=member, sha256=hashlib.sha256(content).hexdigest())


def files_in(folder) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names]


def test_a_verified_member_is_kept_and_found_again(index, tmp_path):
    # The member is no real GGUF file: reading it is what fails, after it was downloaded, verified and kept.
    for _ in range(2):
        with pytest.raises(InputError, match="cannot be read as a GGUF model"):
            find_base_model(package())
        (kept,) = (tmp_path / "cache/models").iterdir()
        assert kept.read_bytes() == b"weights"
        (index / "tiny_weights-1.0-py3-none-any.whl").unlink(missing_ok=True)
    assert [name for name in files_in(tmp_path / "cache/converted") if not name.endswith(".lock")] == []


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (package(content=b"other"), "sha256"),
        (package(member="tiny_weights/none.gguf"), "none.gguf"),
        (package(name="no-such-package==1.0"), "no-such-package==1.0.*PIP_INDEX_URL"),
    ],
)
def test_what_cannot_be_had_is_explained_and_not_kept(index, tmp_path, wanted, words):
    with pytest.raises(InputError, match=words) as raised:
        find_base_model(wanted)
    assert "\n" not in str(raised.value)
    assert files_in(tmp_path / "cache") == []


def test_a_local_folder_must_hold_a_config_and_safetensors(tmp_path):
    with pytest.raises(InputError, match=r"model\.path.*config\.json"):
        find_base_model(settings(source="local", path=str(tmp_path / "none")))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(InputError, match=r"no \.safetensors"):
        find_base_model(settings(source="local", path=str(tmp_path)))


def test_a_local_checksum_is_verified(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(9)}, weights)
    right = hashlib.sha256(weights.read_bytes()).hexdigest()
    found = find_base_model(settings(source="local", path=str(tmp_path), sha256=right))
    assert (found.name, found.revision) == (tmp_path.name, right)
    with pytest.raises(InputError, match=r"model\.sha256"):
        find_base_model(settings(source="local", path=str(tmp_path), sha256="0" * 64))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="is damaged"):
        find_base_model(settings(source="local", path=str(tmp_path)))
