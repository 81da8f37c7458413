"""All stages, end to end: with a tiny Mistral in NF4, and with the real SmolLM2 on real ViGGO."""

import csv
import hashlib
import json
import shutil

import pytest
import torch
from helpers.independent_scorer import score
from helpers.project import Project
from helpers.tiny_model import write_tiny_mistral

from viggo_pipe.cli.main import main
from viggo_pipe.core.jsonl import read_jsonl

pytestmark = pytest.mark.slow

CONTRACT = {
    "examples", "exact_match", "exact_match_unordered", "dialogue_act_accuracy", "slot_precision",
    "slot_recall", "slot_f1", "attribute_set_accuracy", "well_formed", "in_ontology", "hallucinated_values",
    "exact_match_low", "exact_match_high",
}  # fmt: skip


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def digests(folder, outs):
    """The sha256 of each file of the outs."""
    files = [path for out in outs for path in (folder / out).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def trained(whole_run, tmp_path):
    """A copy of the whole run, and of its base model, without predictions. A test may change both."""
    project = whole_run.copy(tmp_path / "a project")
    base = shutil.copytree(whole_run.folder.parent / "tiny-mistral", tmp_path / "tiny-mistral")
    project.set(model={"path": str(base)})
    shutil.rmtree(project.folder / "predictions")
    return project


def test_a_tiny_mistral_in_nf4_goes_through_all_stages(whole_run):
    for which in ("base", "tuned"):
        metrics = read_json(whole_run.folder / f"metrics/{which}.json")
        assert metrics.keys() >= CONTRACT
        assert list(metrics) == sorted(metrics)
        assert metrics["examples"] == 6 and metrics["in_ontology"] == 1
    robustness = read_json(whole_run.folder / "metrics/robustness.json")
    assert {metrics["examples"] for metrics in robustness.values()} == {6} and len(robustness) == 4
    model = read_json(whole_run.folder / "metrics/model.json")
    assert 0 < model["trainable_parameters"] < model["total_parameters"]
    adapter = whole_run.folder / "models/adapter"
    assert {path.name for path in adapter.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "prompt.json",
    }
    assert read_json(adapter / "adapter_config.json")["base_model_name_or_path"] == "tiny-mistral"
    assert str(whole_run.folder.parent) not in (adapter / "adapter_config.json").read_text(encoding="utf-8")
    with open(whole_run.folder / "plots/loss.csv", encoding="utf-8", newline="") as file:
        points = list(csv.DictReader(file))
    assert any(point["train_loss"] for point in points) and any(point["validation_loss"] for point in points)


def test_the_same_inputs_give_the_same_bytes(whole_run, tmp_path, monkeypatch):
    """In another folder, and in a process that has done other things before."""
    again = whole_run.copy(tmp_path / "again")
    outs = ("data/raw", "data/tokenized", "models", "predictions", "metrics", "plots", "reports")
    first = digests(again.folder, outs)
    assert len(first) >= 25
    for out in outs:
        shutil.rmtree(again.folder / out)
    again.run_all(monkeypatch)
    assert digests(again.folder, outs) == first


def test_gradient_checkpointing_accumulation_and_best_weights(tiny, monkeypatch):
    tiny.set(
        train={
            "gradient_checkpointing": True,
            "gradient_accumulation_steps": 2,
            "eval_steps": 2,
            "load_best_model_at_end": True,
            "completion_only_loss": False,
        },
        quantize={"bits": 32},
    )
    for script in ("fetch_dataset.py", "tokenize_dataset.py", "train_lora.py"):
        assert tiny.run(monkeypatch, script) == 0
    assert (tiny.folder / "models/adapter/adapter_model.safetensors").is_file()


def test_packs_are_trained_on_and_layers_left_alone_without_a_gpu(tiny, monkeypatch, capsys):
    tiny.set(
        augment={"variants": 3, "new_names": 0.5, "typing_slips": 0.3},
        train={
            "pack_length": 256,
            "torch_compile": True,
            "train_sampling_strategy": "random",
            "gradient_accumulation_steps": 2,
            "num_train_epochs": 2,
            "logging_steps": 1,
        },
    )
    for script in ("fetch_dataset.py", "tokenize_dataset.py", "train_lora.py"):
        assert tiny.run(monkeypatch, script) == 0
    assert read_json(tiny.folder / "metrics/tokens.json")["train"]["rows"] == 72
    said = capsys.readouterr().out
    assert ("no CUDA GPU" in said) != torch.cuda.is_available()
    with open(tiny.folder / "plots/loss.csv", encoding="utf-8", newline="") as file:
        losses = [float(point["train_loss"]) for point in csv.DictReader(file) if point["train_loss"]]
    assert losses[-1] < losses[0]


def test_an_adapter_of_another_base_is_refused(trained, monkeypatch, capsys):
    other = trained.folder.parent / "other-mistral"
    write_tiny_mistral(other)
    trained.set(model={"path": str(other)})
    capsys.readouterr()
    assert trained.run(monkeypatch, "predict.py", "tuned") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "tiny-mistral" in error and "other-mistral" in error
    assert not (trained.folder / "predictions").exists()


def test_sentences_are_asked_of_adapters_that_have_learnt_them(trained, monkeypatch, capsys):
    trained.set(prompt={"reverse": "{meaning_representation}\n"}, train={"reverse_members": 1})
    trained.set(generate={"rerank": 0.5, "channel_weight": 0.5})
    capsys.readouterr()
    assert trained.run(monkeypatch, "predict.py", "tuned") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "train.reverse_members" in error
    assert trained.run(monkeypatch, "predict.py", "base") == 0
    assert "the base model answers greedily" in capsys.readouterr().err


def test_damaged_weights_and_adapters_are_named(trained, monkeypatch, capsys):
    adapter, base = trained.folder / "models/adapter", trained.folder.parent / "tiny-mistral"
    for path, content in (
        (adapter / "adapter_model.safetensors", (adapter / "adapter_model.safetensors").read_bytes()[:-50]),
        (adapter / "adapter_config.json", b"[]"),
        (adapter / "prompt.json", b"{}"),
        (base / "model.safetensors", (base / "model.safetensors").read_bytes()[:-50]),
    ):
        whole = path.read_bytes()
        path.write_bytes(content)
        capsys.readouterr()
        assert trained.run(monkeypatch, "predict.py", "tuned") == 2, path
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and str(path.parent.name) in error
        path.write_bytes(whole)
    prompt = read_json(adapter / "prompt.json")
    del prompt["reverse"]  # as in one of before
    (adapter / "prompt.json").write_text(json.dumps(prompt), encoding="utf-8")
    assert trained.run(monkeypatch, "predict.py", "tuned") == 0


def test_a_diverging_run_keeps_its_last_good_checkpoint_and_writes_no_out(tiny, monkeypatch, capsys):
    # The warm-up's first step has learning rate 0: only the second one ruins the weights, and the third finds
    # out.
    ruin = {"learning_rate": 1e30, "max_grad_norm": 1e30, "warmup_steps": 0.5, "logging_steps": 1}
    tiny.set(train=ruin, runtime={"save_steps": 1})
    for script in ("fetch_dataset.py", "tokenize_dataset.py"):
        assert tiny.run(monkeypatch, script) == 0
    for _ in range(2):  # the second time from the last checkpoint on, which is ruined
        capsys.readouterr()
        assert tiny.run(monkeypatch, "train_lora.py") == 2
        error = capsys.readouterr().err
        assert "is nan at step 3, with learning rate" in error and error.count("\n") == 1
        assert error.endswith("the adapter as of step 1 is in runs/diverged\n")
        assert not (tiny.folder / "models").exists() and not (tiny.folder / "plots/loss.csv").exists()
    assert main(["parse", "--adapter", "runs/diverged", "Doom is a shooter."]) == 0
    kept = capsys.readouterr().out
    assert main(["parse", "--base", "Doom is a shooter."]) == 0
    assert kept == capsys.readouterr().out  # untouched by the step of rate 0

    tiny.set(runtime={"save_steps": 100})
    shutil.rmtree(tiny.folder / "runs/resume")
    assert tiny.run(monkeypatch, "train_lora.py") == 2
    assert "no checkpoint was saved" in capsys.readouterr().err
    assert not (tiny.folder / "runs/diverged").exists()


@pytest.mark.viggo
def test_the_real_smollm2_trains_and_is_scored_on_real_viggo(tmp_path, viggo_folder, monkeypatch):
    project = Project(tmp_path / "project")
    project.set(
        dataset={"source": "local", "path": str(viggo_folder.resolve())}, tokenize={"max_length": 256}
    )
    for script in ("fetch_dataset.py", "tokenize_dataset.py"):
        assert project.run(monkeypatch, script) == 0
    tokens = read_json(project.folder / "metrics/tokens.json")
    assert (tokens["train"]["rows"], tokens["validation"]["rows"]) == (5103, 714)
    assert tokens["train"]["truncated_rows"] == tokens["train"]["dropped_rows"] == 0
    for split, rows in {"train": 5103, "validation": 714, "test": 1083}.items():
        path = project.folder / f"data/raw/{split}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        assert len(lines) == rows
        kept = {"train": 120, "validation": 4, "test": 12}[split]
        path.write_text("".join(lines[:: len(lines) // kept]), encoding="utf-8")
    project.set(
        train={"max_steps": 40, "num_train_epochs": None, "per_device_train_batch_size": 2},
        robustness={"rows": 4},
        score={"bootstrap_resamples": 200},
    )
    project.run_all(monkeypatch, start="tokenize_dataset.py")
    base, tuned = (read_json(project.folder / f"metrics/{which}.json") for which in ("base", "tuned"))
    assert base["in_ontology"] == tuned["in_ontology"] == 1  # generate.constrain
    assert base["slot_f1"] < 0.3 < tuned["slot_f1"]
    robustness = read_json(project.folder / "metrics/robustness.json")
    assert len(robustness) == 4 and {metrics["examples"] for metrics in robustness.values()} == {4}
    for which, metrics in (("base", base), ("tuned", tuned)):
        rows = read_jsonl(project.folder / f"predictions/{which}.jsonl")
        assert metrics.items() >= score(rows).items(), "the independent scorer disagrees on real predictions"
