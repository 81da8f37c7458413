import pytest
from helpers.damage import flip_a_bit

from viggo_pipe.core.checksums import is_complete, mark_complete, sha256_of


@pytest.fixture
def folder(tmp_path):
    """A folder that is marked complete, with a file in it and one in a folder of its own."""
    (tmp_path / "inner").mkdir()
    for name in ("weights", "inner/state"):
        (tmp_path / name).write_bytes(name.encode() * 20)
    mark_complete(tmp_path)
    return tmp_path


def test_a_marked_folder_is_complete_and_can_be_marked_again(folder):
    assert is_complete(folder)
    mark_complete(folder)
    assert is_complete(folder)


def test_an_unmarked_folder_is_not_complete(tmp_path):
    assert not is_complete(tmp_path) and not is_complete(tmp_path / "none")


@pytest.mark.parametrize("name", ["weights", "inner/state", "complete"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted"])
def test_damage_is_found(folder, name, damage):
    path = folder / name
    if damage == "flipped":
        flip_a_bit(path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    assert not is_complete(folder)


def test_an_added_file_is_found(folder):
    (folder / "inner/scaler").write_bytes(b"of another run")
    assert not is_complete(folder)


def test_the_checksum_of_several_files_is_that_of_their_contents_joined(tmp_path):
    for name, content in {"one": b"a", "other": b"bc", "whole": b"abc"}.items():
        (tmp_path / name).write_bytes(content)
    assert sha256_of(tmp_path / "one", tmp_path / "other") == sha256_of(tmp_path / "whole")
