"""Several processes train as one would at the same global batch, end together, and go on where they were killed."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch
import yaml
from accelerate.commands.launch import launch_command_parser
from imports import ROOT
from project import tokenized_project
from test_resume import OUTS, contents

from viggo_pipe.distributed import processes_to_start
from viggo_pipe.errors import InputError
from viggo_pipe.params import load_params

COMMAND = [sys.executable, "stages/train_lora.py"]
IN_BF16 = [sys.executable, str(ROOT / "tests/train_in_bf16.py")]
ON_GPUS = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
ENVIRONMENT = ON_GPUS | {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A project with tokens to train two processes on: 43 rows, no multiple of what a step takes."""
    return tokenized_project(
        tmp_path,
        monkeypatch,
        dataset={"sample": {"train": 43, "validation": 7, "test": 6, "seed": 0}},
        quantize={"bits": 32},
        train={"batch_size": 2, "processes": 2, "epochs": 2, "log_steps": 1, "eval_steps": 5, "eval_batch_size": 2},
        runtime={"progress": "plain", "checkpoint_steps": 4},
    )


def train(project, environment=ENVIRONMENT, command=COMMAND, **settings):
    """Run the stage with `settings` changed; return what it wrote."""
    project.set(train=settings)
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert environment is ON_GPUS or done.stderr == ""
    return contents(project)


def losses(outs):
    rows = csv.DictReader(outs["plots/loss.csv"].decode().splitlines())
    return [(row["step"], kind, float(row[kind])) for row in rows for kind in ("train_loss", "validation_loss") if row[kind]]


def assert_same_curve(outs, expected, tolerance):
    found, expected = losses(outs), losses(expected)
    assert [point[:2] for point in found] == [point[:2] for point in expected]
    assert [point[2] for point in found] == pytest.approx([point[2] for point in expected], abs=tolerance)
    assert found[0][2] > found[-1][2]


SHARDED = {"sharding": "full", "group_by_length": True}
CURVES = {
    "by length": {"group_by_length": True},
    "in random order": {"group_by_length": False, "accumulation": 2, "loss_on": "all"},
    "packed": {"group_by_length": False, "pack_length": 256, "batch_size": 1},
    "soup": {"group_by_length": True, "soup_members": 2, "epochs": 1},
    "best": {"group_by_length": True, "keep_best": True, "learning_rate": 0.05},
}


@pytest.mark.slow
@pytest.mark.parametrize("settings", CURVES.values(), ids=CURVES)
def test_two_processes_train_as_one_with_twice_the_accumulation(tiny, settings):
    together = train(tiny, **settings)
    measured = json.loads((tiny.folder / "runs/train.json").read_text())
    accumulation = settings.get("accumulation", 1)
    alone = train(tiny, **settings | {"processes": 1, "accumulation": 2 * accumulation})
    assert_same_curve(together, alone, 2e-6)
    assert together["models/adapter/adapter_config.json"] == alone["models/adapter/adapter_config.json"]
    assert measured["tokens_per_second"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("bits", [32, 4])
@pytest.mark.parametrize("settings", [SHARDED, SHARDED | {"pack_length": 256, "group_by_length": False}])
def test_a_sharded_model_trains_as_a_whole_one(tiny, bits, settings):
    tiny.set(quantize={"bits": bits})
    together = train(tiny, **settings)
    counts = (tiny.folder / "metrics/model.json").read_bytes()
    alone = train(tiny, **settings | {"sharding": None, "processes": 1, "accumulation": 2})
    assert_same_curve(together, alone, 1e-5)
    assert counts == (tiny.folder / "metrics/model.json").read_bytes()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        one, other = (outs[f"models/adapter/{name}"] for outs in (together, alone))
        assert len(one) == len(other) and one[:500] == other[:500]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bits", "settings"),
    [(4, SHARDED), (16, SHARDED | {"pack_length": 256, "group_by_length": False})],
)
def test_under_bf16_autocast_a_sharded_model_has_loss_gradients_and_weights_in_fp32(tiny, bits, settings):
    """Rounded to bf16, which has 8 bits, a loss or a gradient would be off by up to 1/500 of it."""
    tiny.set(quantize={"bits": bits})
    together = train(tiny, command=IN_BF16, **settings)
    alone = train(tiny, command=IN_BF16, **settings | {"sharding": None, "processes": 1, "accumulation": 2})
    assert_same_curve(together, alone, 1e-5)
    one, other = (safetensors.torch.load(outs["models/adapter/adapter_model.safetensors"]) for outs in (together, alone))
    for name, weight in one.items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, other[name], rtol=0, atol=1e-6, msg=name)


PACKED = {"pack_length": 256, "group_by_length": False, "batch_size": 1}


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize(
    "settings",
    [PACKED, PACKED | {"fold_adapter": True, "compile": True}, PACKED | {"sharding": "full"}, {"group_by_length": True}],
    ids=["DDP", "DDP, folded and compiled", "FSDP", "DDP, by length"],
)
def test_two_gpus_train_as_one(tiny, settings):
    tiny.set(quantize={"bits": 4})
    together = train(tiny, ON_GPUS, **settings)
    alone = train(tiny, ON_GPUS, **settings | {"sharding": None, "processes": 1, "accumulation": 2})
    assert_same_curve(together, alone, 5e-3)  # a bf16 number has 8 bits


def start(project):
    return subprocess.Popen(
        COMMAND,
        cwd=project.folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(found, process):
    deadline = time.monotonic() + 120
    while not found():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def has_checkpoint(project):
    return any(project.folder.glob("runs/resume/train-*/checkpoint-*/complete"))


def started_by(process):
    """The processes of the machine that `process` has started."""
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(children) as file:
        return [int(number) for number in file.read().split()]


def is_alive(number):
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_over(numbers):
    deadline = time.monotonic() + 15
    while any(map(is_alive, numbers)):
        assert time.monotonic() < deadline, "processes outlived the one that started them"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds processes in /proc")
@pytest.mark.parametrize(
    ("blow", "to_all", "settings"),
    [
        (signal.SIGKILL, False, {"keep_best": True}),
        (signal.SIGINT, False, {"keep_best": True}),
        (signal.SIGKILL, True, {"sharding": "full"}),
    ],
    ids=["SIGKILL", "SIGINT", "SIGKILL to all at once, sharded"],
)
def test_killed_processes_leave_no_others_and_go_on_to_the_same_bytes(tiny, blow, to_all, settings):
    tiny.set(lora={"dropout": 0.1}, quantize={"bits": 4})
    expected = train(tiny, batch_size=1, epochs=4, **settings)
    for name in OUTS:
        (tiny.folder / name).unlink()
    process = start(tiny)
    wait_for(lambda: has_checkpoint(tiny), process)
    workers = started_by(process)
    assert len(workers) == 2
    for number in [*(workers if to_all else ()), process.pid]:
        os.kill(number, blow)
    _, said = process.communicate(timeout=30)
    if blow == signal.SIGINT:
        assert process.returncode == 130
        assert said == "train: interrupted, and nothing is half-written; run again to go on\n"
        assert not any(map(is_alive, workers))
    wait_until_over(workers)
    assert not any((tiny.folder / name).exists() for name in OUTS)
    tiny.set(runtime={"progress": "bar"})  # which shows at what step it begins: from step 0 on, the bytes would be the same, too
    done = subprocess.run(COMMAND, cwd=tiny.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and all(line.startswith("train: ") for line in done.stderr.splitlines() if line), done.stderr
    resumed = re.search(r"going on from \S+/checkpoint-(\d+)", done.stdout)
    first_shown = re.search(r" (\d+)/\d+ \[", done.stderr)
    assert int(first_shown[1]) == int(resumed[1]) > 0
    assert contents(tiny) == expected


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds processes in /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_one_process_killed_ends_the_others_with_one_line(tiny, victim):
    tiny.set(train={"batch_size": 1, "epochs": 20})
    process = start(tiny)
    wait_for(lambda: has_checkpoint(tiny), process)
    workers = sorted(started_by(process))
    os.kill(workers[victim], signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.startswith(f"train: process {victim + 1} of 2 was killed by SIGKILL") and said.count("\n") == 1, said
    assert not any(map(is_alive, workers))


@pytest.mark.slow
def test_an_error_in_all_processes_is_one_line(tiny):
    for changed, words in (
        ({"learning_rate": 1e20}, "training diverged"),
        ({"learning_rate": 1e-3, "pack_length": 8, "group_by_length": False}, "train.pack_length is 8"),
    ):
        tiny.set(train=changed)
        done = subprocess.run(COMMAND, cwd=tiny.folder, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
def test_processes_that_another_launcher_starts_take_part_as_on_two_machines(tiny):
    """As `accelerate launch` starts them on two machines of one process each, with the project's folder in common."""
    expected = train(tiny)
    machines = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    processes = [
        subprocess.Popen(
            COMMAND,
            cwd=tiny.folder,
            env=ENVIRONMENT | machines | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "models/adapter" in said[0][0] and said[1][0] == ""
    assert contents(tiny) == expected


@pytest.mark.slow
def test_another_number_of_processes_than_was_asked_for_is_refused(tiny):
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    done = subprocess.run(COMMAND, cwd=tiny.folder, env=ENVIRONMENT | alone, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "train: train.processes is 2, but 1 were started: set it to 1, or start 2\n")


def test_fewer_gpus_than_processes_are_refused(monkeypatch):
    settings = load_params("train", path=ROOT / "params.yaml").train.model_copy(update={"processes": 4})
    for gpus, allowed in ((0, True), (1, False), (3, False), (4, True)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        if allowed:
            assert processes_to_start(settings) == 4
        else:
            with pytest.raises(InputError, match=f"train.processes is 4, but GPUs here: {gpus};"):
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
    command = task["run"][task["run"].index("accelerate launch") :].replace("accelerate launch", "printf '%s\\n'", 1)
    words = subprocess.run(["sh", "-c", command], env=machine, capture_output=True, text=True, check=True).stdout.splitlines()
    options = launch_command_parser().parse_args(words)
    assert (options.num_machines, options.machine_rank, options.num_processes, options.main_process_ip) == (2, 1, 2, "10.0.0.1")
    assert options.multi_gpu and options.training_script == "stages/train_lora.py"
