import json
import shutil
import subprocess
import sys

import pytest
import yaml
from helpers.imports import ROOT
from helpers.project import Project
from safetensors.torch import load_file, save_file

from viggo_pipe.cli.main import main
from viggo_pipe.config.describe import describe
from viggo_pipe.config.load import SECTIONS, load_params
from viggo_pipe.config.profiles import load_profile


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return project


def test_use_writes_a_complete_params_file_with_comments(project, capsys):
    assert main(["use", "mistral-7b"]) == 0
    assert load_params(*SECTIONS) == load_profile(project.folder / "profiles/mistral-7b.yaml")
    text = (project.folder / "params.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text).keys() == set(SECTIONS)
    assert "  # Highest learning rate.\n  learning_rate: 0.0002\n" in text
    assert "profiles/mistral-7b.yaml" in capsys.readouterr().out


def test_an_unknown_profile_suggests_the_near_one_and_changes_nothing(project, capsys):
    before = (project.folder / "params.yaml").read_text()
    assert main(["use", "mistral7b"]) == 2
    error = capsys.readouterr().err
    assert "'mistral7b'" in error and "'mistral-7b'" in error and error.count("\n") == 1
    assert (project.folder / "params.yaml").read_text() == before


def test_an_invalid_profile_is_not_used(project, capsys):
    profile = project.folder / "profiles/mine.yaml"
    profile.write_text(yaml.safe_dump({"lora": {"r": 0}}))
    before = (project.folder / "params.yaml").read_text()
    assert main(["use", "mine"]) == 2
    error = capsys.readouterr().err
    assert "profiles/mine.yaml: lora.r" in error and error.count("\n") == 1
    assert (project.folder / "params.yaml").read_text() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": {"source": "local", "path": "nowhere"}}, ["dataset.path", "nowhere"]),
        ({"model": {"source": "local", "path": "nowhere"}}, ["model.path", "nowhere"]),
        ({"model": {"source": "local"}}, ["model.path", "data/model"]),
        ({"dataset": {"path": "nowhere"}}, ["dataset.path", "nowhere", "whatever the source"]),
        ({"model": {"path": "nowhere"}}, ["model.path", "nowhere", "whatever the source"]),
        ({"model": {"path": "~/models"}}, ["model.path", "DVC does not expand"]),
        ({"lora": {"rank": 4}}, ["lora.rank"]),
    ],
)
def test_check_names_what_is_wrong(project, capsys, changes, words):
    project.set(**changes)
    assert main(["check"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def leave_an_adapter_alone(folder):
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


def change_config(folder, **keys):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | keys), encoding="utf-8")


def drop_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (leave_an_adapter_alone, "holds neither model.safetensors nor"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "move it away"),
        (drop_a_tensor, "1 missing (model.norm.weight)"),
        (lambda folder: change_config(folder, num_hidden_layers=3), "9 missing (model.layers.2."),
        (
            lambda folder: change_config(folder, quantization_config={"quant_method": "fp8"}),
            "is quantized already (fp8)",
        ),
        (None, None),
    ],
    ids=["adapter alone", "adapter beside", "a tensor less", "a layer more", "fp8", "whole"],
)
def test_check_refuses_a_local_model_that_would_not_load(project, capsys, tiny_folder, change, words):
    folder = shutil.copytree(tiny_folder, project.folder / "data/model", dirs_exist_ok=True)
    project.set(
        dataset={"sample": {"train": 20, "validation": 2, "test": 2, "seed": 0}},
        model={"source": "local", "sha256": None},
        tokenize={"max_length": 256},
        lora={"upper_layers": 1},
    )
    if change is None:
        assert main(["check"]) == 0
        assert "model: source local, model at " in capsys.readouterr().out
    else:
        change(folder)
        assert main(["check"]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_quantized_model_of_the_hub_is_refused_without_its_weights(
    project, capsys, tiny_folder, monkeypatch, command
):
    snapshot = shutil.copytree(tiny_folder, project.folder / "snapshot")
    (snapshot / "model.safetensors").unlink()
    change_config(snapshot, quantization_config={"quant_method": "awq"})
    monkeypatch.setattr("viggo_pipe.models.base_model.download_snapshot", lambda *args: snapshot)
    project.set(model={"source": "hub", "repo": "a/b", "revision": "0" * 40})
    assert main([command]) == 2
    error = capsys.readouterr().err
    assert "a/b is quantized already (awq)" in error and error.count("\n") == 1


def test_check_refuses_a_full_disk(project, capsys, monkeypatch):
    usage = type("usage", (), {"free": 2**29})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert main(["check"]) == 2
    assert "0.5 GiB free" in capsys.readouterr().err


def test_parse_without_a_sentence_says_what_to_type(project, capsys):
    assert main(["parse", "  "]) == 2
    assert "viggo parse" in capsys.readouterr().err


def test_parse_without_an_adapter_says_where_one_comes_from(project, capsys):
    assert main(["parse", "Have you played Portal 2?"]) == 2
    error = capsys.readouterr().err
    assert "models/adapter" in error and "dvc pull" in error and error.count("\n") == 1


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from viggo_pipe.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: "
        "pass\nprint(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "viggo_pipe.cli.main" in modules
    assert not {"torch", "transformers", "pydantic", "yaml", "numpy"} & set(modules)


def test_use_keeps_a_changed_params_file(project, capsys):
    project.set(lora={"r": 77})
    mine = (project.folder / "params.yaml").read_text()
    assert main(["use", "smollm2-135m"]) == 0
    assert "params.yaml.bak" in capsys.readouterr().out
    assert (project.folder / "params.yaml.bak").read_text() == mine
    assert main(["use", "quickstart"]) == 0
    assert (project.folder / "params.yaml.bak").read_text() == mine  # a profile's copy is not worth keeping
    assert "params.yaml.bak" not in capsys.readouterr().out


def test_scores_are_said_to_be_of_the_data_that_they_were_made_with(project, capsys):
    """Not of those that params.yaml has named since: the sample's figures are not ViGGO's."""
    (project.folder / "metrics").mkdir()
    for name in ("metrics/base.json", "metrics/tuned.json", "metrics/robustness.json", "dvc.lock"):
        shutil.copy(ROOT / name, project.folder / name)
    assert main(["scores"]) == 0
    assert "not ViGGO's" in capsys.readouterr().out
    assert main(["use", "smollm2-135m"]) == 0
    capsys.readouterr()
    assert main(["scores"]) == 0
    said = capsys.readouterr().out
    assert "it is not known" in said and "ViGGO" not in said
    (project.folder / "dvc.lock").unlink()  # the stages were run by hand
    assert main(["scores"]) == 0
    assert "are ViGGO's" in capsys.readouterr().out


def test_params_prints_every_key(project, capsys):
    assert main(["params"]) == 0
    said = capsys.readouterr().out
    assert "lora.r = 16\n" in said and "dataset.sample.seed = 0\n" in said
    assert said == "\n".join(describe(load_params(*SECTIONS))) + "\n"
