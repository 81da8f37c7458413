"""A killed stage goes on where it stopped, and ends with the bytes that it would have ended with."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from imports import ROOT
from project import tokenized_project
from transformers import TrainerCallback

from viggo_pipe import training
from viggo_pipe.errors import InputError
from viggo_pipe.resumable_trainer import checkpoint_folder, delete_old_checkpoints, last_complete_checkpoint
from viggo_pipe.resume import Journal, input_digest, mark_complete, resumable
from viggo_pipe.settings.score import ScoreSettings

OUTS = ("models/adapter/adapter_model.safetensors", "models/adapter/adapter_config.json", "plots/loss.csv")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A project with tokens to train on: 40 steps, a loss each 5, a checkpoint each 10."""
    return tokenized_project(
        tmp_path,
        monkeypatch,
        dataset={"sample": {"train": 40, "validation": 4, "test": 6, "seed": 0}},
        lora={"dropout": 0.1},
        quantize={"bits": 4},
        train={"batch_size": 2, "epochs": 2, "log_steps": 5, "eval_steps": 15, "keep_best": True},
        generate={"max_new_tokens": 8, "batch_size": 2},
        runtime={"progress": "plain", "checkpoint_steps": 10},
    )


def contents(project, names=OUTS):
    return {name: (project.folder / name).read_bytes() for name in names}


def scratch(project):
    return [path for path in (project.folder / "runs/resume").glob("*-*") if path.is_dir()]


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


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
    expected = contents(tiny)
    assert scratch(tiny) == []
    for step in (7, 13, 24, 39):
        for name in OUTS:
            (tiny.folder / name).unlink()
        interrupted_training(tiny, monkeypatch, step)
        assert not any((tiny.folder / name).exists() for name in OUTS)
        assert len(scratch(tiny)) == 1
        capsys.readouterr()
        assert tiny.run(monkeypatch, "train_lora.py") == 0
        said = capsys.readouterr().out
        assert ("going on from" in said) == (step >= 10)
        assert contents(tiny) == expected, f"interrupted at step {step}: {said}"
        assert scratch(tiny) == []
        resumed = re.search(r"checkpoint-(\d+)", said)
        assert tokens_trained_on(said) == round((1 - int(resumed[1]) / 40 if resumed else 1) * tokens)


def tokens_trained_on(said):
    return int(re.search(r"trained on ([\d,]+) tokens", said)[1].replace(",", ""))


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bytes(tiny, monkeypatch):
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    expected = contents(tiny)
    for name in OUTS:
        (tiny.folder / name).unlink()
    command = [sys.executable, "stages/train_lora.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, cwd=tiny.folder, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tiny.folder.glob("runs/resume/train-*/checkpoint-*/complete")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = subprocess.run(command, cwd=tiny.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout
    assert contents(tiny) == expected


@pytest.mark.slow
def test_other_params_and_damaged_checkpoints_are_not_resumed(tiny, monkeypatch, capsys):
    interrupted_training(tiny, monkeypatch, step=22)
    (folder,) = scratch(tiny)
    (folder / "checkpoint-15/complete").unlink()
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "checkpoint-10" in capsys.readouterr().out
    expected = contents(tiny)

    interrupted_training(tiny, monkeypatch, step=28)
    (folder,) = scratch(tiny)
    flip_a_bit(folder / "checkpoint-25/optimizer.pt")
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "checkpoint-15" in capsys.readouterr().out
    assert contents(tiny) == expected

    interrupted_training(tiny, monkeypatch, step=22)
    tiny.set(train={"learning_rate": 1e-4})
    capsys.readouterr()
    assert tiny.run(monkeypatch, "train_lora.py") == 0
    assert "going on from" not in capsys.readouterr().out


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
    expected = contents(tiny)
    interrupted_training(tiny, monkeypatch, step=22)
    (folder,) = scratch(tiny)
    last, canary = folder / "checkpoint-15", tiny.folder.parent / "attacked"
    pickles = {path.name: path.read_bytes() for path in last.iterdir() if path.suffix in {".pt", ".pth", ".bin"}}
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
    assert contents(tiny) == expected
    assert not canary.exists()


def test_the_two_last_checkpoints_and_the_best_are_kept_whatever_the_clock_says(tmp_path):
    for step in (5, 10, 15, 20, 100):
        folder = checkpoint_folder(tmp_path, step)
        folder.mkdir()
        os.utime(folder, (2**31 - step, 2**31 - step))
    delete_old_checkpoints(tmp_path, best=str(checkpoint_folder(tmp_path, 10)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-100", "checkpoint-20"]


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


@pytest.mark.slow
def test_an_interrupted_prediction_generates_only_what_is_left(tiny, monkeypatch):
    assert tiny.run(monkeypatch, "predict.py", "base") == 0
    expected = contents(tiny, ["predictions/base.jsonl"])
    added = []
    original = Journal.add

    def add(self, entries):
        original(self, entries)
        added.append(sorted(entries))
        if len(added) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", add)
    assert tiny.run(monkeypatch, "predict.py", "base") == 130
    assert contents(tiny, ["predictions/base.jsonl"]) == expected  # the earlier run's, untouched
    assert tiny.run(monkeypatch, "predict.py", "base") == 0
    assert contents(tiny, ["predictions/base.jsonl"]) == expected
    assert sorted(index for batch in added for index in batch) == list(range(6))


def test_a_journal_forgets_only_what_was_cut_off(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        journal.add({0: "a\nb", 1: "é"})
    with open(tmp_path / "journal", "ab") as file:
        file.write(b'[2, "cut o')
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries == {0: "a\nb", 1: "é"}
        journal.add({2: "c"})
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries == {0: "a\nb", 1: "é", 2: "c"}


def test_a_journal_forgets_a_damaged_line_and_what_follows_it(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        journal.add({0: "a", 1: "b", 2: "c"})
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"d"'))
    with Journal(path) as journal:
        assert journal.entries == {0: "a"}
        journal.add({1: "b"})
    with Journal(path) as journal:
        assert journal.entries == {0: "a", 1: "b"}


def test_a_stage_that_is_still_running_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    holder = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from viggo_pipe.resume import resumable\n"
        "with resumable('train', 'abc'): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(ROOT / "src")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} is already at this stage"), resumable("train", "abc"):
            pass
    finally:
        process.kill()
        process.wait()
    with resumable("train", "abc") as folder:  # a dead one holds nothing
        assert folder.is_dir()


def test_the_digest_is_that_of_params_and_contents(tmp_path):
    sections = [ScoreSettings(bootstrap_resamples=1, bootstrap_seed=0)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_text("1")
    first = input_digest(sections, [tmp_path / "a"])
    assert input_digest(sections, [tmp_path / "a"]) == first
    assert input_digest([ScoreSettings(bootstrap_resamples=2, bootstrap_seed=0)], [tmp_path / "a"]) != first
    (tmp_path / "a/file").write_text("2")
    assert input_digest(sections, [tmp_path / "a"]) != first
