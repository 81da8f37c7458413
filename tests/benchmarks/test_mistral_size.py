"""The benchmarks at Mistral-7B's size, with a tiny model in its place: training, generation and multi_gpu."""

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec

import generation
import multi_gpu
import pytest
import step_timer
import training
from helpers.imports import ROOT

from viggo_pipe.config.profiles import load_profile


@pytest.mark.slow
@pytest.mark.viggo
@pytest.mark.parametrize("method", ["ours", "seed's recipe", "Trainer, padded", "TRL, packing"])
def test_training(tiny_shape, viggo_folder, method):
    if method.startswith("TRL") and find_spec("trl") is None:
        pytest.skip("TRL is not installed")
    options = argparse.Namespace(model=tiny_shape, viggo=viggo_folder, windows=1)
    figures = training.measure(method, options)
    assert 0 < figures["lowest"] <= figures["tokens_per_second"] <= figures["highest"]
    assert ("kernels" in figures) == (method == "ours")
    if method == "ours":
        assert 0.95 * 32 * 512 < figures["tokens_per_step"] <= 32 * 512


@pytest.mark.slow
@pytest.mark.viggo
@pytest.mark.parametrize("method", ["ours", "ours, weights kept in NF4", "seed's recipe"])
def test_generation_gives_every_reference(tiny_shape, viggo_folder, method):
    options = argparse.Namespace(model=tiny_shape, viggo=viggo_folder, sentences=9)
    figures = generation.METHODS[method](options)
    assert figures["references_reproduced"] == figures["sentences"] > 0 and figures["seconds"] > 0


@pytest.mark.slow
@pytest.mark.viggo
def test_several_processes_train_together(tiny_shape, viggo_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    given = [tiny_shape, viggo_folder, "--windows", 1, "--methods", "2 processes, FSDP", "--here"]
    command = [sys.executable, ROOT / "benchmarks/multi_gpu.py", *given]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["tokens_per_second"] > 0 and 0.95 * 32 * 512 < figures["tokens_per_step"] <= 32 * 512
    assert len(figures["losses"]) == step_timer.WARM_UP + step_timer.WINDOW


def test_losses_of_several_processes_are_compared_with_those_of_one(tmp_path):
    out = tmp_path / "out.json"
    losses = {"1 process": [2.0, 1.0], "2 processes, DDP": [2.0, 1.25]}
    methods = {name: {"losses": curve} for name, curve in losses.items()} | {"other": {"error": "failed"}}
    out.write_text(json.dumps({"methods": methods}), encoding="utf-8")
    multi_gpu.compare(out)
    found = json.loads(out.read_text(encoding="utf-8"))["methods"]
    assert found["2 processes, DDP"]["loss_difference"] == 0.25
    assert "loss_difference" not in found["1 process"]


@pytest.mark.parametrize("method", multi_gpu._CHANGES)
def test_every_method_of_several_processes_takes_32_packs_a_step(method):
    train = multi_gpu.settings(method, load_profile(ROOT / "profiles/mistral-7b.yaml"))
    rows = train.num_processes * train.per_device_train_batch_size * train.gradient_accumulation_steps
    assert rows == 32 and not train.cuda_graph
