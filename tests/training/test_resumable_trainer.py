"""Which checkpoints are kept, and which one a training goes on from."""

import json
import os

import pytest
from helpers.damage import flip_a_bit

from viggo_pipe.core.checksums import mark_complete
from viggo_pipe.training.resumable_trainer import (
    checkpoint_folder,
    delete_old_checkpoints,
    last_complete_checkpoint,
)


def test_the_two_last_checkpoints_and_the_best_are_kept_whatever_the_clock_says(tmp_path):
    for step in (5, 10, 15, 20, 100):
        folder = checkpoint_folder(tmp_path, step)
        folder.mkdir()
        os.utime(folder, (2**31 - step, 2**31 - step))
    delete_old_checkpoints(tmp_path, best=str(checkpoint_folder(tmp_path, 10)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-10",
        "checkpoint-100",
        "checkpoint-20",
    ]


def checkpoint(folder, step, best=None):
    """A checkpoint as the Trainer saves one, as far as is read before it goes on from there."""
    path = checkpoint_folder(folder, step)
    path.mkdir()
    (path / "adapter_model.safetensors").write_bytes(bytes(100))
    state = {"best_model_checkpoint": None if best is None else str(checkpoint_folder("elsewhere", best))}
    (path / "trainer_state.json").write_text(json.dumps(state))
    mark_complete(path)
    return path


@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted", "added", "no mark", "half a mark"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, damage):
    before, last = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    assert last_complete_checkpoint(tmp_path) == last
    weights, mark = last / "adapter_model.safetensors", last / "complete"
    if damage == "flipped":
        flip_a_bit(weights)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:50])
    elif damage == "deleted":
        weights.unlink()
    elif damage == "added":
        (last / "scaler.pt").write_bytes(b"of another run")
    elif damage == "no mark":
        mark.unlink()
    else:
        mark.write_bytes(mark.read_bytes()[:-20])
    assert last_complete_checkpoint(tmp_path) == before
    assert list(tmp_path.iterdir()) == [before]


def test_a_checkpoint_whose_best_one_is_damaged_is_not_gone_on_with(tmp_path):
    before, best = checkpoint(tmp_path, 5), checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 15, best=10)
    flip_a_bit(best / "adapter_model.safetensors")
    assert last_complete_checkpoint(tmp_path) == before
