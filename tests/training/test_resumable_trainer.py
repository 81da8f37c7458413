"""Which checkpoints are kept, and which one a training goes on from."""

import os

import pytest
from helpers.damage import flip_a_bit
from transformers.trainer_callback import TrainerState

from viggo_pipe.core.checksums import mark_complete
from viggo_pipe.training.resumable_trainer import (
    checkpoint_folder,
    delete_old_checkpoints,
    last_complete_checkpoint,
)


def checkpoint(folder, step, best=None, logging_steps=1, max_steps=1000):
    """A checkpoint as the Trainer saves one, as far as is read before it goes on from there."""
    path = checkpoint_folder(folder, step)
    path.mkdir()
    (path / "adapter_model.safetensors").write_bytes(bytes(100))
    TrainerState(
        global_step=step,
        max_steps=max_steps,
        logging_steps=logging_steps,
        best_model_checkpoint=None if best is None else str(checkpoint_folder("elsewhere", best)),
    ).save_to_json(str(path / "trainer_state.json"))
    mark_complete(path)
    return path


def names(folder):
    return sorted((path.name for path in folder.iterdir()), key=len)


def test_the_two_last_checkpoints_and_the_best_are_kept_whatever_the_clock_says(tmp_path):
    for step in (5, 10, 15, 20, 100):
        folder = checkpoint(tmp_path, step, best=min(step, 10))
        os.utime(folder, (2**31 - step, 2**31 - step))
    delete_old_checkpoints(tmp_path)
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-20", "checkpoint-100"]


def test_what_lies_between_two_losses_is_kept_as_the_best_alone(tmp_path):
    """A training goes on from one after which a loss was logged: from 15, which may end with 12."""
    for step, best in ((4, 4), (5, 4), (8, 8), (10, 8), (12, 12), (15, 12), (16, 16), (24, 24)):
        checkpoint(tmp_path, step, best, logging_steps=5, max_steps=24)
        delete_old_checkpoints(tmp_path)
        if step == 16:
            assert sorted(int(name[11:]) for name in names(tmp_path)) == [8, 10, 12, 15, 16]
    assert last_complete_checkpoint(tmp_path) == checkpoint_folder(tmp_path, 24)  # the last step
    flip_a_bit(checkpoint_folder(tmp_path, 24) / "adapter_model.safetensors")
    assert last_complete_checkpoint(tmp_path) == checkpoint_folder(tmp_path, 15)
    assert sorted(int(name[11:]) for name in names(tmp_path)) == [12, 15]


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
