"""Steps that are recorded once and replayed train as steps that are launched kernel by kernel."""

import pytest
import torch
from helpers.imports import ROOT
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from viggo_pipe.config.profiles import load_profile
from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.train import prepare_for_training, train_adapter


def losses(folder, rows, pad_token_id, scratch, **changes):
    params = load_profile(ROOT / "profiles/smollm2-135m.yaml")
    usual = {
        "num_train_epochs": None,
        "max_steps": 12,
        "logging_steps": 1,
        "eval_steps": 4,
        "pack_length": 256,
        "per_device_train_batch_size": 2,
    }
    train = params.train.model_copy(update=usual | changes)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(
        "cuda" if torch.cuda.is_available() else "cpu"
    )
    model = get_peft_model(
        model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    )
    prepare_for_training(model, train)
    some, few = TokenRows.of_examples(rows), TokenRows.of_examples(rows[:8])
    return train_adapter(model, some, few, pad_token_id, train, params.runtime, scratch).losses


@pytest.fixture(scope="module")
def rows(tiny_parts):
    encoder = tiny_parts[2]
    sample = generate_sample(SampleSettings(train=80, validation=1, test=1, seed=0))["train"]
    return [encoder.example(row["sentence"], row["meaning_representation"]) for row in sample]


@pytest.mark.gpu
@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_gpu_has_the_same_loss_curve_with_graphs(
    tiny_folder, tiny_parts, rows, tmp_path, accumulation, compile
):
    curves = []
    for graph in (False, True):
        changes = {"cuda_graph": graph, "gradient_accumulation_steps": accumulation, "torch_compile": compile}
        curve = losses(tiny_folder, rows, tiny_parts[1].pad_token_id, tmp_path / str(graph), **changes)
        curves.append([point["train_loss"] or point["validation_loss"] for point in curve])
    assert len(curves[0]) > 12 and curves[0][-1] < curves[0][0]
    assert curves[1] == pytest.approx(curves[0], rel=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a CPU")
def test_without_a_gpu_a_line_says_so(tiny_folder, tiny_parts, rows, tmp_path, capsys):
    curve = losses(
        tiny_folder,
        rows,
        tiny_parts[1].pad_token_id,
        tmp_path,
        cuda_graph=True,
        max_steps=2,
        gradient_accumulation_steps=1,
    )
    assert len(curve) > 2
    assert (
        "train.cuda_graph: steps are not recorded, for there is no CUDA GPU here" in capsys.readouterr().out
    )
