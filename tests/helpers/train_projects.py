"""Runs stage train in one project after another: one of the processes that another launcher has started.

python train_projects.py PROJECTS, where PROJECTS is a JSON file: a list of objects with

    folder: the project's
    port: of MASTER_ADDR, for this project alone; 0: each process trains by itself, every other such project
    in_bf16: with autocast to bf16
    status: the exit status to expect; 130: stopped at the first checkpoint as by Ctrl-C

What the processes print goes to FOLDER/said-RANK.txt. To start two for each project would take minutes.
"""

# First: it silences bitsandbytes, which accelerate imports.
import viggo_pipe  # noqa: F401, I001
import contextlib
import json
import os
import sys
from pathlib import Path
from unittest.mock import patch

from helpers.as_on_a_gpu import bf16_autocast
from helpers.imports import ROOT


sys.path.insert(0, str(ROOT / "stages"))

import torch
import train_lora
from accelerate.state import AcceleratorState, GradientState

from viggo_pipe.core.signals import INTERRUPTED
from viggo_pipe.training.callback import TrainingCallback
from viggo_pipe.training.distributed import barrier
from viggo_pipe.training.launch import run_in_processes

on_save = TrainingCallback.on_save


def stop_at_checkpoint(*args, **named) -> None:
    """Ctrl-C, once the checkpoint is complete."""
    on_save(*args, **named)
    barrier()
    raise KeyboardInterrupt


def train(folder: str, port: int, in_bf16: bool, status: int) -> None:
    """Run the stage in `folder`; it must end with `status`."""
    os.chdir(folder)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    with contextlib.ExitStack() as stack:
        said = stack.enter_context(open(f"said-{os.environ['TEST_RANK']}.txt", "a", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(said))
        if in_bf16:
            stack.enter_context(bf16_autocast())
        if status == INTERRUPTED:
            stack.enter_context(patch.object(TrainingCallback, "on_save", stop_at_checkpoint))
        found = run_in_processes("train", train_lora.main, lambda: 1)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    assert found == status, folder


if __name__ == "__main__":
    projects = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rank = os.environ["TEST_RANK"] = os.environ["RANK"]
    for project in projects:
        if project["port"]:
            os.environ["MASTER_PORT"] = str(project["port"])
            train(**project)
    for variable in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        del os.environ[variable]
    for project in [project for project in projects if not project["port"]][int(rank) :: 2]:
        train(**project)
