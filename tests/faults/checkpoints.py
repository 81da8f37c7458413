"""Checkpoints and journals that cannot be gone on with."""

import os
import shutil
import signal
import time
from pathlib import Path

from helpers.damage import flip_a_bit
from helpers.project import FLOW

from faults.workspace import NewWorkspace, Workspace, resumed_from


def other_inputs(new: NewWorkspace) -> tuple[str, str]:
    """Params or data changed after a kill: the checkpoint is of other inputs"""
    changes = {
        "params": lambda work: work.project.set(train={"learning_rate": 1e-4}),
        "data": lambda work: (work.project.set(dataset={"train_share": 0.5}), work.run_all(FLOW[:2])),
    }
    for name, change in changes.items():
        work = new(f"other-{name}")
        work.stop_training_at_a_checkpoint()
        change(work)
        assert work.run("train_lora.py") == 0 and resumed_from(work.said) is None, work.said
    work = new("other-none")
    work.stop_training_at_a_checkpoint()
    assert work.run("train_lora.py") == 0 and resumed_from(work.said) is not None
    return (
        "once each",
        "the steps before the kill, rightly: training began anew (and went on where nothing had changed)",
    )


def cut_off_checkpoint(new: NewWorkspace) -> tuple[str, str]:
    """The last checkpoint cut off before it was complete; a journal of answers cut off in a line"""
    work = new("cut-off")
    work.run_all()
    expected = work.digests()
    work.clear()
    work.stop_training_at_a_checkpoint()
    before, last = work.checkpoints()[-2:]
    (last / "complete").unlink()
    weights = last / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert work.run("train_lora.py") == 0
    assert resumed_from(work.said) == before.name.rpartition("-")[2], work.said
    journal = stopped_prediction(work)
    journal.write_bytes(journal.read_bytes().rpartition(b"\n")[0] + b'\n[3, "cut')
    work.run_all(FLOW[3:])
    assert work.digests() == expected
    return "once each", "0 bytes differ; training went on from the checkpoint before"


def damaged_checkpoint(new: NewWorkspace) -> tuple[str, str]:
    """A file of the last checkpoint damaged after it was complete: a bit, or its second half; a bit of a
    journal of answers
    """
    work = new("damaged")
    work.run_all()
    expected = work.digests()
    work.clear()
    work.stop_training_at_a_checkpoint()
    before, last = work.checkpoints()[-2:]
    shutil.copytree(work.folder / "runs", work.folder.parent / "runs")
    damages = [(path.name, damage) for path in sorted(last.iterdir()) for damage in (flip_a_bit, cut_in_half)]
    for name, damage in damages:
        for place in ("runs", "models"):
            shutil.rmtree(work.folder / place, ignore_errors=True)
        shutil.copytree(work.folder.parent / "runs", work.folder / "runs")
        damage(last / name)
        assert work.run("train_lora.py") == 0, work.said
        assert resumed_from(work.said) == before.name.rpartition("-")[2], f"{name}: {work.said}"
        trained = {
            path: digest
            for path, digest in expected.items()
            if path.startswith(("models/adapter", "plots/loss"))
        }
        assert trained.items() <= work.digests().items(), name
    flip_a_bit(stopped_prediction(work))
    work.run_all(FLOW[3:])
    assert work.digests() == expected
    return (
        f"{len(damages)} times, each file of a checkpoint in both ways, and the journal once",
        "0 bytes differ; training went on from the checkpoint before",
    )


def stopped_prediction(work: Workspace) -> Path:
    """The journal of a prediction that was killed when it had answered something."""
    pid = work.start("predict.py tuned")
    journals = work.folder.glob
    while not any(path.read_bytes().count(b"\n") for path in journals("runs/resume/predict-*/answers.jsonl")):
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    work.wait(pid)
    (journal,) = journals("runs/resume/predict-*/answers.jsonl")
    return journal


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def nan_loss(new: NewWorkspace) -> tuple[str, str]:
    """Training diverges: the loss becomes NaN or infinite"""
    work = new("nan")
    # The warm-up's first step has learning rate 0: only the second one ruins the weights, and the third finds
    # out.
    work.project.set(
        train={"learning_rate": 1e30, "max_grad_norm": 1e30, "warmup_steps": 0.5, "logging_steps": 1}
    )
    work.project.set(runtime={"save_steps": 1})
    work.run_all(FLOW[:2])
    assert work.run("train_lora.py") == 2, work.said
    line = work.said.strip().splitlines()[-1]
    assert "step" in line and "learning rate" in line and not (work.folder / "models").exists()
    shutil.copytree(work.folder / "runs/diverged", work.folder / "models/adapter")
    assert work.run("predict.py tuned") == 0, work.said
    return (
        "once",
        f'the steps after the last good checkpoint: exit 2, "{line.removeprefix("train: ")}"; no out is '
        "written",
    )
