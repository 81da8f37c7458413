"""The same inputs give the same bytes for every out, in whichever folder, hash order, language and time
zone.
"""

import hashlib

import pytest
from helpers.project import Project
from helpers.tiny_model import write_tiny_mistral

pytestmark = pytest.mark.slow


def outs(folder, environment, model):
    project = Project(folder)
    project.set(
        dataset={"sample": {"train": 24, "validation": 4, "test": 6, "seed": 0}},
        model={"source": "local", "path": str(model), "sha256": None},
        augment={"variants": 2, "new_names": 0.5, "typing_slips": 0.3},
        tokenize={"max_length": 256},
        quantize={"bits": 4},
        lora={"r": 4, "upper_layers": 1, "lora_dropout": 0.1},
        generate={"max_new_tokens": 30, "batch_size": 4},
        score={"bootstrap_resamples": 200},
    )
    project.run_all_apart(**environment)
    given = {"stages", "profiles", "runs"}
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in given
    ]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_clean_runs_write_the_same_bytes(tmp_path):
    write_tiny_mistral(tmp_path / "tiny-mistral")
    model = tmp_path / "tiny-mistral"
    one = outs(tmp_path / "one", {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"}, model)
    other = outs(
        tmp_path / "an other", {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}, model
    )
    assert one == other
    assert {
        "models/adapter/adapter_model.safetensors",
        "predictions/robustness/unseen_names.jsonl",
        "reports/index.html",
    } <= set(one)
