"""What `viggo check` passes can be trained and predicts; what cannot is one line from it."""

import shutil

import pytest
import torch
from helpers.architectures import tiny_causal_lm
from helpers.project import Project
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, Gemma3Config, Gemma3ForConditionalGeneration, PreTrainedTokenizerFast

from viggo_pipe.cli.main import main

ALL = {"target_modules": "all-linear", "upper_layers": None}
PACKED = {"pack_length": 256, "train_sampling_strategy": "random"}
NF4 = {"quantize": {"bits": 4}}
STAGES = ("fetch_dataset.py", "tokenize_dataset.py", "train_lora.py", "predict.py base", "predict.py tuned")


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path / "project")
    project.set(
        dataset={"sample": {"train": 8, "validation": 2, "test": 3, "seed": 0}},
        model={"source": "local", "path": str(tmp_path / "model"), "sha256": None},
        tokenize={"max_length": 256},
        quantize={"bits": 32},
        lora={"r": 2, **ALL},
        train={"max_steps": 2, "num_train_epochs": None},
        generate={"max_new_tokens": 4, "batch_size": 2},
        robustness={"rows": 1},
    )
    monkeypatch.chdir(project.folder)
    return project


@pytest.fixture
def write_model(tmp_path, tiny_folder):
    """Writes a tiny model of an architecture, with a tokenizer that every model may have."""

    def write(name, tokenizer=None, **given):
        tokenizer = tokenizer or AutoTokenizer.from_pretrained(tiny_folder)
        tokenizer.save_pretrained(tmp_path / "model")
        given = {"vocab_size": 500, "max_position_embeddings": 256} | given
        tiny_causal_lm(name, **given).save_pretrained(tmp_path / "model")

    return write


def stages_end(project, monkeypatch):
    """The exit statuses of the stages, until one is not 0."""
    for call in STAGES:
        status = project.run(monkeypatch, *call.split())
        yield status
        if status:
            return


def refusal(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gpt2", {}),
        ("gpt2", {"train": PACKED, **NF4}),
        ("gpt2", {"lora": {"target_modules": ["c_attn"], "upper_layers": 1}}),
        ("gpt_neo", {}),
        ("gptj", {}),
        ("opt", {}),
        ("bloom", {}),
        ("mpt", {}),
        ("falcon", NF4),
        ("falcon, alibi", {}),
        ("gpt_neox", {"train": {"gradient_checkpointing": True}}),
        ("gemma2", {"train": PACKED}),
        ("gemma3_text", {"train": PACKED}),
        ("gemma4_text", {}),
        ("phi3", NF4),
        ("qwen2_moe", {"train": PACKED}),
        ("gpt_oss", {}),
        ("mixtral, routers", {}),
        ("mamba2", {"lora": {"target_modules": ["in_proj"], "upper_layers": 2}}),
        ("lfm2", {}),
        ("qwen3_5_text", NF4),
        ("deepseek_v3", {}),
    ],
)
def test_what_passes_is_trained_and_predicts(project, write_model, monkeypatch, capsys, name, changes):
    write_model(name)
    project.set(**changes)
    assert main(["check"]) == 0, capsys.readouterr().err
    assert list(stages_end(project, monkeypatch)) == [0] * len(STAGES)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("qwen3_5_text", {"train": PACKED}, "train.pack_length: rows of a pack cannot be kept apart in Qwen3_5"),
        ("mistral, short windows", {"train": PACKED}, "its tokens see 16 tokens at most"),
        ("bloom", {"train": PACKED}, "train.pack_length: "),
        ("gpt2", {"lora": {"target_modules": ["q_proj"]}}, "lora.target_modules: the base model has no module"),
        ("gpt2", {"lora": {"target_modules": ["c_attn"], "upper_layers": 5}}, "lora.upper_layers is 5"),
        ("llama4_text", {}, "router is a Llama4Router, which LoRA cannot adapt"),
        ("mamba", {}, "lora.target_modules 'all-linear': "),
        ("ctrl", {"train": {"gradient_checkpointing": True}}, "train.gradient_checkpointing: CTRL"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_check_and_training(
    project, write_model, monkeypatch, capsys, name, changes, words
):
    write_model(name)
    project.set(**changes)
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert words in said
    assert list(stages_end(project, monkeypatch)) == [0, 0, 2]
    assert refusal(capsys).partition(": ")[2] == said.partition(": ")[2]
