"""train.full_determinism: the same adapter at each run, on a GPU too."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.imports import ROOT
from helpers.project import tokenized_project
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from viggo_pipe.core.errors import InputError
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.determinism import deterministic_algorithms
from viggo_pipe.training.packed_attention import take_packs
from viggo_pipe.training.packing import PackCollator, Packs

PACKED = {"pack_length": 512, "train_sampling_strategy": "random", "per_device_train_batch_size": 4}
WAYS = {
    "rows apart": {},
    "packed": PACKED,
    "compiled": PACKED | {"torch_compile": True},
    "graphed": PACKED | {"cuda_graph": True},
    "checkpointed": PACKED | {"gradient_checkpointing": True, "gradient_accumulation_steps": 2},
}


@pytest.fixture
def tokenized(tmp_path, monkeypatch):
    """A project with tokens to train a tiny Mistral on, deterministically."""
    return tokenized_project(
        tmp_path,
        monkeypatch,
        dataset={"sample": {"train": 120, "validation": 4, "test": 4, "seed": 0}},
        lora={"upper_layers": 2},
        train={"full_determinism": True, "num_train_epochs": 2},
    )


def trained(project, cache):
    """The adapter's digest after a training in a process of its own, that finds nothing compiled by an
    earlier one.
    """
    done = subprocess.run(
        [sys.executable, "stages/train_lora.py"],
        cwd=project.folder,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT / "src"),
            "TORCHINDUCTOR_CACHE_DIR": str(cache / "i"),
            "TRITON_CACHE_DIR": str(cache / "t"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return digest(project)


def digest(project):
    return hashlib.sha256(
        (project.folder / "models/adapter/adapter_model.safetensors").read_bytes()
    ).hexdigest()


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [16, 4])
@pytest.mark.parametrize("way", WAYS)
def test_two_trainings_on_a_gpu_end_with_the_same_adapter(tokenized, tmp_path, bits, way):
    tokenized.set(quantize={"bits": bits}, train=WAYS[way], lora={"lora_dropout": 0.1})
    assert trained(tokenized, tmp_path / "one") == trained(tokenized, tmp_path / "other")


@pytest.mark.gpu
@pytest.mark.parametrize("float8", [False, True])
def test_two_trainings_with_a_folded_adapter_end_with_the_same_one(tokenized, tmp_path, float8):
    tokenized.set(
        quantize={"bits": 4}, train=PACKED | {"torch_compile": True, "fuse_lora": True, "float8": float8}
    )
    assert trained(tokenized, tmp_path / "one") == trained(tokenized, tmp_path / "other")


@pytest.mark.gpu
@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float32]
)  # by FlashAttention's kernels, and with a mask
def test_gradients_through_long_rows_are_the_same_each_time(tiny_folder, dtype):
    """Rows of many blocks, whose gradients attention's backward pass adds up."""
    length = 2048
    with deterministic_algorithms(True):
        model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=dtype).cuda()
        config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
        model = get_peft_model(model, config)
        take_packs(model, 512)
        numbers = torch.Generator().manual_seed(0)
        rows = [
            {"input_ids": torch.randint(3, 500, (size,), generator=numbers).tolist(), "answer_start": 1}
            for size in (1900, 148, 2048, 700, 1300)
        ]
        packs = Packs(TokenRows.of_examples(rows), np.arange(5), np.array([0, 2, 3]))
        collated = PackCollator([packs], 2, length, True)(list(packs))
        batch = {name: tensor.cuda() for name, tensor in collated.items()}
        found = []
        for _ in range(5):
            model.zero_grad()
            model(**batch)["loss"].backward()
            found.append(
                [parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad]
            )
    assert all(
        torch.equal(one, other) for again in found[1:] for one, other in zip(found[0], again, strict=True)
    )


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="of a CPU")
@pytest.mark.parametrize("way", ["rows apart", "packed"])
def test_a_cpu_gives_the_same_bytes_without_it(tokenized, monkeypatch, way):
    digests = set()
    for deterministic in (True, False):
        tokenized.set(
            quantize={"bits": 4},
            train=WAYS[way] | {"full_determinism": deterministic},
            lora={"lora_dropout": 0.1},
        )
        assert tokenized.run(monkeypatch, "train_lora.py") == 0
        digests.add(digest(tokenized))
    assert len(digests) == 1


def test_what_has_no_deterministic_algorithm_is_named():
    numbers, places = torch.zeros(3), torch.tensor([0, 0])
    with (
        pytest.raises(InputError, match=r"put_.* set train\.full_determinism to false"),
        deterministic_algorithms(True),
    ):
        numbers.put_(places, torch.ones(2))
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic_algorithms(False):
        numbers.put_(places, torch.ones(2))


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="size"), deterministic_algorithms(True):
        torch.zeros(3) + torch.zeros(4)
