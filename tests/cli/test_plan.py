import json

import pytest
import torch
from helpers.project import Project

from viggo_pipe.augment.augmentation import augmented
from viggo_pipe.cli.main import main
from viggo_pipe.cli.planning import device as device_module
from viggo_pipe.cli.planning import sources as sources_module
from viggo_pipe.cli.planning.device import Device, this_device
from viggo_pipe.cli.planning.estimate import Estimate
from viggo_pipe.cli.planning.lines import plan_lines
from viggo_pipe.cli.planning.sources import find_sources
from viggo_pipe.config.load import SECTIONS, load_params
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.oom import explain_out_of_memory
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.prompt import PromptEncoder
from viggo_pipe.training.packing import pack_rows

CPU = Device("a CPU", 1e12, False)
GRAPHED = {"cuda_graph": True, "pack_length": 256, "train_sampling_strategy": "random"}


@pytest.fixture
def project(tmp_path, tiny_folder, monkeypatch):
    project = Project(tmp_path)
    project.set(
        dataset={"sample": {"train": 40, "validation": 4, "test": 6, "seed": 0}},
        model={"source": "local", "path": str(tiny_folder), "sha256": None},
        tokenize={"max_length": 256},
        lora={"r": 4, "upper_layers": 1},
        train={"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2, "num_train_epochs": 2.5},
    )
    monkeypatch.chdir(tmp_path)
    return project


def planned(device=CPU):
    params = load_params(*SECTIONS)
    return Estimate(params, find_sources(params), device)


def trained_steps(project, monkeypatch):
    for script in ("fetch_dataset.py", "tokenize_dataset.py", "train_lora.py"):
        assert project.run(monkeypatch, script) == 0
    return int((project.folder / "plots/loss.csv").read_text().splitlines()[-1].split(",")[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pack_length": 256, "train_sampling_strategy": "random", "soup_members": 2},
        {"max_steps": 7, "num_train_epochs": None},
    ],
)
def test_the_steps_are_those_that_training_takes(project, monkeypatch, settings):
    project.set(train=settings, augment={"variants": 2})
    assert planned().steps == trained_steps(project, monkeypatch)


def test_rows_tokens_and_packs_are_the_stages(project):
    project.set(train={"pack_length": 256, "train_sampling_strategy": "random"}, augment={"variants": 3})
    params = load_params(*SECTIONS)
    (found,) = planned().directions
    sources = find_sources(params)
    encoder = PromptEncoder(sources.tokenizer, params.prompt)
    rows = [
        encoder.example(row["sentence"], row["meaning_representation"])
        for row in augmented(sources.splits["train"], params.augment)
    ]
    assert found.rows == len(rows) == 120
    assert found.tokens == sum(len(row["input_ids"]) for row in rows)
    assert found.items == len(pack_rows(TokenRows.of_examples(rows), 256, seed=0)) < 120


def test_the_other_direction_is_planned_too(project, capsys):
    one = planned()
    project.set(prompt={"reverse": "{meaning_representation}\n"}, train={"reverse_members": 2})
    both = planned()
    assert both.directions[0].steps == one.steps and both.steps == 3 * one.steps
    assert [direction.members for direction in both.directions] == [1, 2]
    assert main(["plan"]) == 0
    assert "training, reverse: 40 rows an epoch" in capsys.readouterr().out


def test_plan_prints_and_ends_with_0_where_it_fits(project, capsys):
    assert main(["plan"]) == 0
    said = capsys.readouterr().out
    assert "40 training rows" in said and "GB to train" in said and "time: not known" in said


@pytest.mark.parametrize(
    ("base", "gpus", "speed", "known"),
    [
        ("tiny", [], 100.0, True),
        ("another", [], 100.0, False),
        ("tiny", ["a GPU elsewhere"], 100.0, False),
        ("tiny", [], None, False),  # resumed behind its last step
    ],
)
def test_the_time_is_estimated_from_a_training_of_the_same_model_on_the_same_device(
    project, tiny_folder, base, gpus, speed, known
):
    (project.folder / "runs").mkdir()
    run = {"base": tiny_folder.name if base == "tiny" else base, "machine": {"gpus": gpus}}
    if speed is not None:
        run["tokens_per_second"] = speed
    (project.folder / "runs/train.json").write_text(json.dumps(run))
    (said,) = (
        line
        for line in plan_lines(planned(Device("this machine, without a GPU", 1e12, False)))
        if line.startswith("time")
    )
    assert ("at the last training's 100 tokens/s" in said) == known and ("not known" in said) != known


@pytest.mark.parametrize("settings", [{}, GRAPHED])
def test_plan_names_settings_that_fit(project, capsys, settings):
    """A batch of half the rows, twice as often: what it advises does fit, with evaluations amid it."""
    project.set(
        train={"per_device_train_batch_size": 64, "gradient_accumulation_steps": 1, **settings},
        generate={"batch_size": 512},
    )
    found = planned(Device("a GPU", 1e12, True))
    memory = (found.training_memory(32) + found.training_memory(64)) / 2 / 1e9 + 0.6
    assert main(["plan", "--memory", str(memory)]) == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1
        and "train.per_device_train_batch_size to 32 and train.gradient_accumulation_steps to 2" in error
    )
    assert "evaluation needs" not in error
    project.set(
        train={"per_device_train_batch_size": 32, "gradient_accumulation_steps": 2},
        generate={"batch_size": 1},
    )
    assert main(["plan", "--memory", str(memory)]) == 0


def test_plan_names_the_settings_that_are_left(project, capsys):
    project.set(train={"gradient_checkpointing": True}, quantize={"bits": 4}, generate={"dequantize": True})
    assert main(["plan", "--memory", "0.6001"]) == 2
    training, evaluation, prediction = capsys.readouterr().err.split("; ")
    assert training.endswith(": set lora.upper_layers to fewer layers")
    assert evaluation.endswith(": take a smaller base model")
    assert prediction.strip().endswith(": set generate.dequantize to false")


def test_an_evaluation_that_does_not_fit(project, capsys):
    project.set(train={"per_device_eval_batch_size": 4096})
    found = planned(Device("a GPU", 1e12, True))
    memory = (found.evaluation_memory(2048, 3) + found.evaluation_memory(4096, 3)) / 2 / 1e9 + 0.6
    assert main(["plan", "--memory", str(memory)]) == 2
    assert (
        "evaluation needs" in (error := capsys.readouterr().err)
        and "set train.per_device_eval_batch_size to 2048" in error
    )


def test_an_evaluation_that_does_not_fit_beside_a_cuda_graph(project, capsys):
    project.set(
        train={
            "per_device_train_batch_size": 64,
            "gradient_accumulation_steps": 1,
            "per_device_eval_batch_size": 1,
            **GRAPHED,
        }
    )
    memory = planned(Device("a GPU", 1e12, True)).training_memory(64) / 1e9 + 0.6001
    project.set(train={"per_device_eval_batch_size": 512})
    found = planned(Device("a GPU", 1e12, True))
    assert found.evaluation_memory(512, 64) > found.evaluation_memory(512, 32)
    assert main(["plan", "--memory", str(memory)]) == 2
    assert "evaluation needs" in (error := capsys.readouterr().err) and "training needs" not in error
    project.set(train={"cuda_graph": False})
    assert found.evaluation_memory(512, 32) > planned(Device("a GPU", 1e12, True)).evaluation_memory(512, 64)


def test_a_container_s_memory_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "unlimited").write_text("max\n")
    monkeypatch.setattr(
        device_module, "_LIMITS", [tmp_path / "missing", tmp_path / "unlimited", tmp_path / "memory.max"]
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert this_device().memory == 1_000_000


@pytest.mark.parametrize("memory", ["0", "-3", "nan", "inf", "much"])
def test_a_memory_that_is_none_is_refused(project, capsys, memory):
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--memory", memory])
    assert ended.value.code == 2 and "--memory" in capsys.readouterr().err


def test_check_warns_and_looks_sources_up_once(project, capsys, monkeypatch):
    looked_up = []
    original = sources_module.find_base_model
    monkeypatch.setattr(
        sources_module,
        "find_base_model",
        lambda *given, **named: looked_up.append(1) or original(*given, **named),
    )
    monkeypatch.setattr(device_module, "this_device", lambda: Device("a small machine", 1e6, False))
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "warning: training needs about" in said and "warning: prediction needs about" in said
    assert len(looked_up) == 1


def test_check_counts_the_references_that_the_grammar_refuses(project, capsys):
    assert main(["check"]) == 0
    assert "grammar: admits 4 of 4 references of validation\n" in capsys.readouterr().out
    folder = project.folder / "own"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        answers = ["inform(name[Portal 2])", "request(specifier[fast-paced])", "inform(genres[shooter])"]
        rows = [f'{split}-{index},"{answer}",Portal 2 is fast paced.' for index, answer in enumerate(answers)]
        (folder / f"{split}.csv").write_text("\n".join(["gem_id,mr,ref", *rows, ""]), encoding="utf-8")
    project.set(dataset={"source": "local", "path": "own"})
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert (
        "grammar: admits 1 of 3 references of validation; no answer" in said
        and "'request(specifier[fast-paced])'" in said
    )
    project.set(generate={"constrain": False})
    assert main(["check"]) == 0
    assert "grammar" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.1 GiB"
        ),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to"
        ),
        MemoryError(),
    ],
)
def test_an_error_of_memory_names_the_settings(error):
    words = r"out of memory .*lower train.per_device_train_batch_size; `viggo plan`"
    with (
        pytest.raises(InputError, match=words),
        explain_out_of_memory("lower train.per_device_train_batch_size"),
    ):
        raise error


def test_other_errors_stay():
    with (
        pytest.raises(RuntimeError, match="shapes"),
        explain_out_of_memory("lower train.per_device_train_batch_size"),
    ):
        raise RuntimeError("shapes do not match")


def test_a_stage_that_runs_out_of_memory_ends_with_one_line(project, monkeypatch, capsys):
    for script in ("fetch_dataset.py", "tokenize_dataset.py"):
        assert project.run(monkeypatch, script) == 0

    def full(*given, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr("transformers.models.mistral.modeling_mistral.MistralModel.forward", full)
        for call, knob in (
            (["train_lora.py"], "train.per_device_train_batch_size"),
            (["predict.py", "base"], "generate.batch_size"),
        ):
            capsys.readouterr()
            assert project.run(monkeypatch, *call) == 2
            error = capsys.readouterr().err
            assert knob in error and error.count("\n") == 1 and "Traceback" not in error
    assert (
        not (project.folder / "models/adapter").exists()
        and not (project.folder / "predictions/base.jsonl").exists()
    )


@pytest.mark.gpu
def test_a_gpu_that_runs_out_of_memory(project, monkeypatch, capsys):
    for script in ("fetch_dataset.py", "tokenize_dataset.py"):
        assert project.run(monkeypatch, script) == 0
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        assert project.run(monkeypatch, "train_lora.py") == 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "train.per_device_train_batch_size" in capsys.readouterr().err
