"""A killed stage goes on where it stopped, and ends with the bytes that it would have ended with."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers.damage import flip_a_bit
from helpers.forked import Forked, run_forked
from helpers.imports import ROOT
from helpers.project import TRAINING_OUTS, tokenized_project
from transformers import TrainerCallback

from viggo_pipe.core.checksums import mark_complete
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.journal import Journal
from viggo_pipe.core.resume import resumable
from viggo_pipe.training import train as training


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A project with tokens to train on: 40 steps, a loss each 5, a checkpoint each 10."""
    return tokenized_project(
        tmp_path,
        monkeypatch,
        dataset={"sample": {"train": 40, "validation": 4, "test": 6, "seed": 0}},
        lora={"lora_dropout": 0.1},
        quantize={"bits": 4},
        train={
            "per_device_train_batch_size": 2,
            "num_train_epochs": 2,
            "logging_steps": 5,
            "eval_steps": 15,
            "load_best_model_at_end": True,
        },
        generate={"max_new_tokens": 8, "batch_size": 2},
        runtime={"progress": "plain", "save_steps": 10},
    )


def scratch(project):
    return [path for path in (project.folder / "runs/resume").glob("*-*") if path.is_dir()]


class InterruptAt(TrainerCallback):
    """Ctrl-C after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def interrupted_training(project, monkeypatch, step):
    """Run the stage train and press Ctrl-C at `step`."""
    original = training.ResumableTrainer

    def with_interruption(*args, callbacks, **kwargs):
        return original(*args, callbacks=[*callbacks, InterruptAt(step)], **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(training, "ResumableTrainer", with_interruption)
        assert project.run(monkeypatch, "train_lora.py") == 130


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_bytes(tiny, monkeypatch, capsys):
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    tokens = tokens_trained_on(capsys.readouterr().out)
    expected = tiny.contents()
    assert scratch(tiny) == []
    for step in (7, 13, 24, 39):
        for name in TRAINING_OUTS:
            (tiny.folder / name).unlink()
        interrupted_training(tiny, monkeypatch, step)
        assert not any((tiny.folder / name).exists() for name in TRAINING_OUTS)
        assert len(scratch(tiny)) == 1
        capsys.readouterr()
        assert tiny.run(monkeypatch, "train_lora.py") == 0
        said = capsys.readouterr().out
        assert ("going on from" in said) == (step >= 10)
        assert tiny.contents() == expected, f"interrupted at step {step}: {said}"
        assert scratch(tiny) == []
        resumed = re.search(r"checkpoint-(\d+)", said)
        assert tokens_trained_on(said) == round((1 - int(resumed[1]) / 40 if resumed else 1) * tokens)


@pytest.mark.slow
@pytest.mark.parametrize("length", [{"max_steps": 30, "num_train_epochs": None}, {"num_train_epochs": 1.5}])
def test_from_a_checkpoint_of_the_last_step_none_is_trained(tiny, monkeypatch, capsys, length):
    """It is within an epoch, and Ctrl-C came in the evaluation after it."""
    tiny.set(train={"eval_steps": None, "load_best_model_at_end": False, **length})
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    expected = tiny.contents()
    for name in TRAINING_OUTS:
        (tiny.folder / name).unlink()

    def refuse(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.ResumableTrainer, "evaluate", refuse)
        assert tiny.run(monkeypatch, "train_lora.py") == 130
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", refuse)
        assert tiny.run(monkeypatch, "train_lora.py") == 0
    said = capsys.readouterr().out
    assert "checkpoint-30" in said and tokens_trained_on(said) == 0
    assert tiny.contents() == expected


@pytest.mark.slow
@pytest.mark.parametrize(("step", "resumed"), [(4, None), (9, 5), (14, 10), (39, 35)])
def test_the_best_checkpoint_may_lie_between_two_losses(tiny, monkeypatch, capsys, step, resumed):
    """A loss that is averaged over five steps stays that, though a best one is saved after the fourth."""
    tiny.set(train={"eval_steps": 4}, runtime={"save_steps": 5})
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    expected = tiny.contents()
    interrupted_training(tiny, monkeypatch, step)
    (folder,) = scratch(tiny)
    assert len(list(folder.glob("checkpoint-*"))) <= 5
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    found = re.search(r"checkpoint-(\d+)", capsys.readouterr().out)
    assert (found and int(found[1])) == resumed
    assert tiny.contents() == expected


def tokens_trained_on(said):
    return int(re.search(r"trained on ([\d,]+) tokens", said)[1].replace(",", ""))


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bytes(tiny, monkeypatch):
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    expected = tiny.contents()
    for name in TRAINING_OUTS:
        (tiny.folder / name).unlink()
    process = Forked(tiny.folder, "stages/train_lora.py")
    deadline = time.monotonic() + 120
    while not list(tiny.folder.glob("runs/resume/train-*/checkpoint-*/complete")):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait().returncode == -signal.SIGKILL
    done = run_forked(tiny.folder, "stages/train_lora.py")
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout
    assert tiny.contents() == expected


@pytest.mark.slow
def test_other_params_and_damaged_checkpoints_are_not_resumed(tiny, monkeypatch, capsys):
    interrupted_training(tiny, monkeypatch, step=22)
    (folder,) = scratch(tiny)
    (folder / "checkpoint-15/complete").unlink()
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "checkpoint-10" in capsys.readouterr().out
    expected = tiny.contents()

    interrupted_training(tiny, monkeypatch, step=28)
    (folder,) = scratch(tiny)
    flip_a_bit(folder / "checkpoint-25/optimizer.pt")
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "checkpoint-15" in capsys.readouterr().out
    assert tiny.contents() == expected

    interrupted_training(tiny, monkeypatch, step=22)
    tiny.set(train={"learning_rate": 1e-4})
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "going on from" not in capsys.readouterr().out


@pytest.mark.slow
def test_what_ran_on_other_weights_is_not_resumed(tiny, monkeypatch, capsys):
    """Of a local model, which keeps its path."""
    weights = tiny.folder.parent / "tiny-mistral/model.safetensors"
    interrupted_training(tiny, monkeypatch, step=22)
    flip_a_bit(weights)
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "going on from" not in capsys.readouterr().out

    def interrupt(self, entries):
        add(self, entries)
        raise KeyboardInterrupt

    add, added = Journal.add, []
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", interrupt)
        assert tiny.run(monkeypatch, "predict.py", "base") == 130
    flip_a_bit(weights)  # back
    monkeypatch.setattr(Journal, "add", lambda self, entries: added.extend(entries))
    assert tiny.run(monkeypatch, "predict.py", "base") == 0
    assert sorted(added) == list(range(6))

    capsys.readouterr()
    assert tiny.run(monkeypatch, "predict.py", "tuned") == 2  # the adapter is of the flipped bit
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "was trained on tiny-mistral at " in error


class Attack:
    """Unpickled, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.slow
def test_no_code_in_a_checkpoint_runs(tiny, monkeypatch, capsys):
    """Not even in one that is marked complete: somebody has written into runs/resume."""
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    expected = tiny.contents()
    interrupted_training(tiny, monkeypatch, step=22)
    (folder,) = scratch(tiny)
    last, canary = folder / "checkpoint-15", tiny.folder.parent / "attacked"
    pickles = {
        path.name: path.read_bytes() for path in last.iterdir() if path.suffix in {".pt", ".pth", ".bin"}
    }
    assert pickles.keys() == {"optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"}
    for name, content in pickles.items():
        torch.save(Attack(canary), last / name)
        mark_complete(last)
        if name == "training_args.bin":  # which nobody reads
            continue
        capsys.readouterr()
        assert tiny.run(monkeypatch, "train_lora.py") == 2, name
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "holds what no training has saved" in error
        (last / name).write_bytes(content)
    mark_complete(last)
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "going on from" in capsys.readouterr().out
    assert tiny.contents() == expected
    assert not canary.exists()


@pytest.mark.slow
def test_an_interrupted_prediction_generates_only_what_is_left(tiny, monkeypatch):
    assert tiny.run(monkeypatch, "predict.py", "base") == 0
    expected = tiny.contents(["predictions/base.jsonl"])
    added = []
    original = Journal.add

    def add(self, entries):
        original(self, entries)
        added.append(sorted(entries))
        if len(added) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", add)
    assert tiny.run(monkeypatch, "predict.py", "base") == 130
    assert tiny.contents(["predictions/base.jsonl"]) == expected  # the earlier run's, untouched
    assert tiny.run(monkeypatch, "predict.py", "base") == 0
    assert tiny.contents(["predictions/base.jsonl"]) == expected
    assert sorted(index for batch in added for index in batch) == list(range(6))


def test_a_stage_that_is_still_running_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    holder = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from viggo_pipe.core.resume import resumable\n"
        "with resumable('train', 'abc'): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(ROOT / "src")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=f"process {process.pid} is already at this stage"),
            resumable("train", "abc"),
        ):
            pass
    finally:
        process.kill()
        process.wait()
    with resumable("train", "abc") as folder:  # a dead one holds nothing
        assert folder.is_dir()
