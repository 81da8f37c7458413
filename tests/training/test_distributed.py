"""Several processes train as one would at the same global batch, and go on where they were killed."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from accelerate.commands.launch import launch_command_parser
from helpers.imports import ROOT
from helpers.processes import children_of, is_alive, wait_until
from helpers.project import TRAINING_OUTS, Project, tokenized_project

from viggo_pipe.config.load import load_params
from viggo_pipe.core.errors import InputError
from viggo_pipe.training.distributed import process_group, processes_to_start, world_size

COMMAND = [sys.executable, "stages/train_lora.py"]
ON_GPUS = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
ENVIRONMENT = ON_GPUS | {"CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Case:
    """A training in two processes.

    Attributes:
        train: what section train has beside `TRAIN`.
        sections: likewise other sections.
        in_bf16: under autocast to bf16.
    """

    train: dict
    sections: dict = field(default_factory=dict)
    in_bf16: bool = False


TRAIN = {
    "per_device_train_batch_size": 2,
    "num_processes": 2,
    "num_train_epochs": 2,
    "logging_steps": 1,
    "eval_steps": 5,
    "per_device_eval_batch_size": 2,
}
IN_4_BITS = {"quantize": {"bits": 4}}
PACKED = {"train_sampling_strategy": "random", "pack_length": 256}
SHARDED = {"fsdp": True}
SHARDED_PACKED = SHARDED | PACKED
CURVES = {
    "by length": Case({}),
    "in random order": Case(
        {
            "train_sampling_strategy": "random",
            "gradient_accumulation_steps": 2,
            "completion_only_loss": False,
        }
    ),
    "packed": Case(PACKED | {"per_device_train_batch_size": 1}),
    "soup": Case({"soup_members": 2, "num_train_epochs": 1}),
    "best": Case({"load_best_model_at_end": True, "learning_rate": 0.05}),
}
SHARDED_CURVES = {
    "sharded": Case(SHARDED),
    "sharded, packed": Case(SHARDED_PACKED),
    "sharded, in 4 bits": Case(SHARDED, IN_4_BITS),
    "sharded, packed, in 4 bits": Case(SHARDED_PACKED, IN_4_BITS),
}
IN_BF16 = {
    "sharded, in 4 bits, under autocast": Case(SHARDED, IN_4_BITS, in_bf16=True),
    "sharded, packed, under autocast": Case(SHARDED_PACKED, {"quantize": {"bits": 16}}, in_bf16=True),
}
LONGER = {"per_device_train_batch_size": 1, "num_train_epochs": 4}
WITH_DROPOUT = IN_4_BITS | {"lora": {"lora_dropout": 0.1}, "runtime": {"save_steps": 4}}
RESUMED = {
    "to be resumed": Case(LONGER | {"load_best_model_at_end": True}, WITH_DROPOUT),
    "to be resumed, sharded": Case(LONGER | SHARDED, WITH_DROPOUT),
}
DIVERGING = Case({"learning_rate": 1e20}, {"runtime": {"save_steps": 1}})
INTERRUPTED = "train: interrupted, and nothing is half-written; run again to go on\n"


@pytest.fixture(scope="module")
def tokenized(tmp_path_factory):
    """A project with tokens to train two processes on: 19 rows, no multiple of what a step takes, and 5 to
    evaluate on, in an odd number of batches.
    """
    with pytest.MonkeyPatch.context() as patch:
        return tokenized_project(
            tmp_path_factory.mktemp("tokenized"),
            patch,
            dataset={"sample": {"train": 19, "validation": 5, "test": 6, "seed": 0}},
            quantize={"bits": 32},
            train=TRAIN,
            runtime={"progress": "plain"},
        )


def copy_of(project, folder):
    """Another project with the params and the tokens of `project`."""
    copy = Project(folder)
    shutil.copy(project.folder / "params.yaml", folder)
    shutil.copytree(project.folder / "data/tokenized", folder / "data/tokenized")
    return copy


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def trained(tokenized, tmp_path_factory):
    """The folder with a project for each case, and NAME, alone: trained in one process with twice the
    accumulation; or NAME, interrupted: stopped at the first checkpoint and gone on with.

    The two processes are started as `accelerate launch` does on two machines of one process each, with a disk
    in common.
    """
    folder = tmp_path_factory.mktemp("trained")
    runs = []

    def add(name, case=None, status=0, alone=False, **train):
        """Have a project trained: a new one of `case`, or without a case the one that was interrupted."""
        if case is not None:
            copy_of(tokenized, folder / name).set(train=case.train | train, **case.sections)
        runs.append(
            {
                "folder": str(folder / name),
                "port": 0 if alone else free_port(),
                "in_bf16": case is not None and case.in_bf16,
                "status": status,
            }
        )

    for name, case in (CURVES | SHARDED_CURVES | IN_BF16).items():
        accumulation = 2 * case.train.get("gradient_accumulation_steps", 1)
        one_process = {"num_processes": 1, "fsdp": False, "gradient_accumulation_steps": accumulation}
        add(name, case)
        add(f"{name}, alone", case, alone=True, **one_process)
    for name, case in RESUMED.items():
        add(name, case)
        add(f"{name}, interrupted", case, status=130)
        add(f"{name}, interrupted")
    add("diverging", DIVERGING, status=2)
    (folder / "runs.json").write_text(json.dumps(runs))
    machines = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
    processes = [
        subprocess.Popen(
            [sys.executable, ROOT / "tests/helpers/train_projects.py", folder / "runs.json"],
            env=ENVIRONMENT | machines | paths | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=500) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    for rank, (out, lines) in enumerate(said):
        (folder / f"said-{rank}.txt").write_text(lines)
        assert out == "" and lines.count("\n") == lines.count("train: "), lines
    return folder


def outs_of(folder):
    return {name: (folder / name).read_bytes() for name in TRAINING_OUTS}


def losses(outs):
    rows = csv.DictReader(outs["plots/loss.csv"].decode().splitlines())
    return [
        (row["step"], kind, float(row[kind]))
        for row in rows
        for kind in ("train_loss", "validation_loss")
        if row[kind]
    ]


def assert_same_curve(outs, expected, tolerance):
    found, expected = losses(outs), losses(expected)
    assert [point[:2] for point in found] == [point[:2] for point in expected]
    assert [point[2] for point in found] == pytest.approx([point[2] for point in expected], abs=tolerance)
    assert found[0][2] > found[-1][2]


@pytest.mark.slow
@pytest.mark.parametrize("case", CURVES)
def test_two_processes_train_as_one_with_twice_the_accumulation(trained, case):
    together, alone = (outs_of(trained / name) for name in (case, f"{case}, alone"))
    assert_same_curve(together, alone, 2e-6)
    assert together["models/adapter/adapter_config.json"] == alone["models/adapter/adapter_config.json"]
    assert json.loads((trained / case / "runs/train.json").read_text())["tokens_per_second"] > 0
    said = [(trained / case / f"said-{rank}.txt").read_text() for rank in range(2)]
    assert "models/adapter: trained on" in said[0] and said[1] == ""


@pytest.mark.slow
@pytest.mark.parametrize("case", SHARDED_CURVES)
def test_a_sharded_model_trains_as_a_whole_one(trained, case):
    together, alone = (outs_of(trained / name) for name in (case, f"{case}, alone"))
    assert_same_curve(together, alone, 1e-5)
    counts = [(trained / name / "metrics/model.json").read_bytes() for name in (case, f"{case}, alone")]
    assert counts[0] == counts[1]
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        one, other = (outs[f"models/adapter/{name}"] for outs in (together, alone))
        assert len(one) == len(other) and one[:500] == other[:500]


@pytest.mark.slow
@pytest.mark.parametrize("case", IN_BF16)
def test_under_bf16_autocast_a_sharded_model_has_loss_gradients_and_weights_in_fp32(trained, case):
    """Rounded to bf16, which has 8 bits, a loss or a gradient would be off by up to 1/500 of it."""
    together, alone = (outs_of(trained / name) for name in (case, f"{case}, alone"))
    assert_same_curve(together, alone, 1e-5)
    one, other = (
        safetensors.torch.load(outs["models/adapter/adapter_model.safetensors"]) for outs in (together, alone)
    )
    for name, weight in one.items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, other[name], rtol=0, atol=1e-6, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("case", RESUMED)
def test_interrupted_processes_go_on_to_the_same_bytes(trained, case):
    interrupted = trained / f"{case}, interrupted"
    assert re.search(r"going on from \S+/checkpoint-\d+", (interrupted / "said-0.txt").read_text())
    assert outs_of(interrupted) == outs_of(trained / case)


def run(project, environment=ENVIRONMENT):
    """Run the stage to its end."""
    return subprocess.run(
        COMMAND, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=200
    )


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize(
    "settings",
    [
        PACKED | {"per_device_train_batch_size": 1},
        PACKED | {"per_device_train_batch_size": 1, "fuse_lora": True, "torch_compile": True},
        PACKED | {"per_device_train_batch_size": 1, "fsdp": True},
        {},
    ],
    ids=["DDP", "DDP, folded and compiled", "FSDP", "DDP, by length"],
)
def test_two_gpus_train_as_one(tokenized, tmp_path, settings):
    project = copy_of(tokenized, tmp_path / "project")
    project.set(train=settings, **IN_4_BITS)
    assert run(project, ON_GPUS).returncode == 0
    together = project.contents()
    project.set(train={"fsdp": False, "num_processes": 1, "gradient_accumulation_steps": 2})
    assert run(project, ON_GPUS).returncode == 0
    assert_same_curve(together, project.contents(), 5e-3)  # a bf16 number has 8 bits


def checkpoints(project):
    return set(project.folder.glob("runs/resume/train-*/checkpoint-*/complete"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="finds processes in /proc")
def test_a_killed_training_goes_on_to_the_bytes_of_one_that_was_not(tokenized, trained, tmp_path):
    case = RESUMED["to be resumed"]
    project = copy_of(tokenized, tmp_path / "killed")
    project.set(train=case.train, **case.sections)
    for number, words in ((signal.SIGINT, INTERRUPTED), (signal.SIGKILL, "")):
        before = checkpoints(project)
        process = subprocess.Popen(
            COMMAND, cwd=project.folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
        )
        wait_until(lambda before=before: checkpoints(project) - before, seconds=120)
        workers = children_of(process.pid)
        assert len(workers) == 2
        process.send_signal(number)
        assert process.communicate(timeout=30)[1] == words
        wait_until(lambda workers=workers: not any(map(is_alive, workers)))
        assert not any((project.folder / name).exists() for name in TRAINING_OUTS)
    project.set(runtime={"progress": "bar"})  # which shows at what step it begins
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("train: ") for line in done.stderr.splitlines() if line), done.stderr
    resumed = re.search(r"going on from \S+/checkpoint-(\d+)", done.stdout)
    first_shown = re.search(r" (\d+)/\d+ \[", done.stderr)
    assert int(first_shown[1]) == int(resumed[1]) > 0
    assert project.contents() == outs_of(trained / "to be resumed")


@pytest.mark.slow
def test_a_training_that_diverges_keeps_the_adapter_before_that(trained):
    said = [(trained / f"said-{rank}.txt").read_text() for rank in range(2)]
    assert re.search("training diverged; .*; the adapter as of step .* is in runs/diverged", said[0])
    assert "training diverged" in said[1] and "runs/diverged" not in said[1]
    assert (trained / "diverging/runs/diverged/adapter_model.safetensors").exists()


def test_another_number_of_processes_than_was_asked_for_is_refused(monkeypatch):
    settings = load_params("train", path=ROOT / "params.yaml").train
    monkeypatch.setenv("WORLD_SIZE", "1")
    words = "train.num_processes is 2, but 1 were started: set it to 1, or start 2"
    with (
        pytest.raises(InputError, match=words),
        process_group(settings.model_copy(update={"num_processes": 2})),
    ):
        raise AssertionError("began")


def test_an_empty_world_size_counts_as_unset(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert world_size() == 1


def test_fewer_gpus_than_processes_are_refused(monkeypatch):
    settings = load_params("train", path=ROOT / "params.yaml").train.model_copy(update={"num_processes": 4})
    for gpus, allowed in ((0, True), (1, False), (3, False), (4, True)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        if allowed:
            assert processes_to_start(settings) == 4
        else:
            with pytest.raises(InputError, match=f"train.num_processes is 4, but GPUs here: {gpus};"):
                processes_to_start(settings)


def test_the_skypilot_task_launches_the_stage_as_accelerate_understands_it():
    task = yaml.safe_load((ROOT / "docs/skypilot.yaml").read_text(encoding="utf-8"))
    assert task["num_nodes"] == 2 and task["resources"]["accelerators"].endswith(":1")
    for script in re.findall(r"stages/\w+\.py", task["run"]):
        assert (ROOT / script).is_file()
    machine = {
        "SKYPILOT_NUM_NODES": "2",
        "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NUM_GPUS_PER_NODE": "1",
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
    }
    command = task["run"][task["run"].index("accelerate launch") :].replace(
        "accelerate launch", "printf '%s\\n'", 1
    )
    words = subprocess.run(
        ["sh", "-c", command], env=machine, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    options = launch_command_parser().parse_args(words)
    assert (options.num_machines, options.machine_rank, options.num_processes, options.main_process_ip) == (
        2,
        1,
        2,
        "10.0.0.1",
    )
    assert options.multi_gpu and options.training_script == "stages/train_lora.py"
