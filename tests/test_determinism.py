"""The same inputs give the same bytes for every out, in whichever folder, hash order, language and time zone."""

import hashlib
import os
import subprocess
import sys

import pytest
from imports import ROOT
from project import FLOW, Project
from tiny_model import write_tiny_mistral

pytestmark = pytest.mark.slow

# All stages in one process: to import the libraries for each would take a minute.
RUN_ALL = """
import os, runpy, sys
for call in sys.argv[1].split(","):
    script, *arguments = call.split()
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(f"stages/{script}", run_name="__main__")
    except SystemExit as exit_:
        assert exit_.code == 0, call
"""


def outs(folder, environment, model):
    project = Project(folder)
    project.set(
        dataset={"sample": {"train": 24, "validation": 4, "test": 6, "seed": 0}},
        model={"source": "local", "path": str(model), "sha256": None},
        augment={"variants": 2, "new_names": 0.5, "typing_slips": 0.3},
        tokenize={"max_length": 256},
        quantize={"bits": 4},
        lora={"r": 4, "upper_layers": 1, "dropout": 0.1},
        generate={"max_new_tokens": 30, "batch_size": 4},
        score={"bootstrap_resamples": 200},
    )
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, ",".join(FLOW)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    given = {"stages", "profiles", "runs"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in given]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_clean_runs_write_the_same_bytes(tmp_path):
    write_tiny_mistral(tmp_path / "tiny-mistral")
    model = tmp_path / "tiny-mistral"
    one = outs(tmp_path / "one", {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"}, model)
    other = outs(tmp_path / "an other", {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}, model)
    assert one == other
    assert {"models/adapter/adapter_model.safetensors", "predictions/probes/unseen_names.jsonl", "reports/index.html"} <= set(one)
