from pathlib import Path

import pytest
import yaml
from helpers.imports import ROOT

from viggo_pipe.config.load import SECTIONS, Params, load_params
from viggo_pipe.config.profiles import load_profile
from viggo_pipe.core.errors import InputError

QUICKSTART = yaml.safe_load((ROOT / "profiles/quickstart.yaml").read_text(encoding="utf-8"))


def changed(tmp_path, change):
    params = yaml.safe_load(yaml.safe_dump(QUICKSTART))
    change(params)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return path


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_is_valid(profile):
    params = load_profile(profile)
    assert params.lora.r > 0


def test_params_yaml_is_the_quickstart():
    assert yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) == QUICKSTART


@pytest.mark.parametrize("name", ["smollm2-135m", "mistral-7b"])
def test_from_a_profile_with_cuda_graphs_errors_lead_to_several_processes(tmp_path, name):
    """Each names, on one line, what to set next."""
    profile = load_profile(ROOT / f"profiles/{name}.yaml").model_dump()
    profile["train"] |= {
        "num_processes": 2,
        "soup_members": 2,
        "soup_rank": None,
        "load_best_model_at_end": False,
    }
    profile["generate"]["channel_weight"] = 0.0
    path = tmp_path / "params.yaml"
    for words, settings in (
        ("cuda_graph to false", {"cuda_graph": False}),
        (None, {"fsdp": True}),
        ("fuse_lora or torch_compile", {"fuse_lora": False, "torch_compile": False}),
        ("soup_members above 1, or reverse_members", {"soup_members": 1, "reverse_members": 0}),
        (None, {}),
    ):
        path.write_text(yaml.safe_dump(profile), encoding="utf-8")
        if words is None:
            load_params("train", path=path)
        else:
            with pytest.raises(InputError, match=words) as raised:
                load_params("train", path=path)
            assert "\n" not in str(raised.value)
        profile["train"] |= settings


def test_the_viggo_profiles_pin_the_published_files():
    for name in ("smollm2-135m", "mistral-7b", "mistral-7b-seed"):
        dataset = load_profile(ROOT / f"profiles/{name}.yaml").dataset
        assert dataset.source == "hub" and dataset.sha256.test.startswith("020f2419")


HOME = str(Path.home())
SHARDED = {"num_processes": 2, "fsdp": True}
GRAPHED = {"cuda_graph": True, "pack_length": 512, "train_sampling_strategy": "random"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["lora"].update(alpa=3), ["lora.alpa", "'lora_alpha'"]),
        (lambda p: p.update(trian={}), ["'trian'", "'train'"]),
        (lambda p: p["train"].pop("seed"), ["train.seed", "missing"]),
        (lambda p: p.pop("score"), ["'score'", "missing"]),
        (lambda p: p["lora"].update(r="many"), ["lora.r", "'many'", "integer"]),
        (lambda p: p["lora"].update(r=0), ["lora.r", "greater than 0"]),
        (lambda p: p["quantize"].update(bits=8), ["quantize.bits", "8"]),
        (lambda p: p["dataset"].update(source="hub"), ["dataset", "sha256.train", "smollm2-135m"]),
        (lambda p: p["dataset"]["sha256"].update(tset="x"), ["dataset.sha256.tset", "'test'"]),
        (lambda p: p["model"].update(path=None), ["model.path", "null is no path"]),
        (lambda p: p["model"].update(path="~/model"), ["model.path: write", "DVC does not expand", HOME]),
        (lambda p: p["dataset"].update(path="data"), ["dataset.path: 'data' holds 'data/raw', which"]),
        (lambda p: p["dataset"].update(path="."), ["dataset.path: '.' holds"]),
        (lambda p: p["dataset"].update(path="~/viggo"), ["dataset.path: write", "DVC does not expand", HOME]),
        (lambda p: p["dataset"].update(path="~nobody-here/x"), ["dataset.path", "DVC does not expand"]),
        (lambda p: p["prompt"].update(template="no place"), ["prompt.template", "{sentence}"]),
        (lambda p: p["prompt"].update(reverse="{sentence}"), ["prompt.reverse", "{meaning_representation}"]),
        (
            lambda p: p["generate"].update(channel_weight=0.2),
            ["generate", "channel_weight needs rerank"],
        ),
        (
            lambda p: p["generate"].update(channel_weight=0.2, rerank=0.1, dequantize=True),
            ["generate", "dequantize"],
        ),
        (
            lambda p: p["generate"].update(channel_weight=0.2, rerank=0.1),
            ["generate.channel_weight needs train.reverse_members"],
        ),
        (lambda p: p["train"].update(reverse_members=1), ["train.reverse_members needs prompt.reverse"]),
        (lambda p: p["train"].update(max_steps=5), ["num_train_epochs", "max_steps"]),
        (lambda p: p["lora"].update(target_modules="all-linear"), ["upper_layers", "target_modules"]),
        (lambda p: p["train"].update(learning_rate=float("nan")), ["train.learning_rate"]),
        (lambda p: p.update(lora=None), ["lora"]),
        (lambda p: p["train"].update(num_processes=0), ["train.num_processes", "greater than 0"]),
        (lambda p: p["train"].update(fsdp=True), ["train", "fsdp needs num_processes"]),
        (lambda p: p["train"].update(SHARDED, fuse_lora=True), ["fsdp", "fuse_lora"]),
        (
            lambda p: p["train"].update(
                SHARDED, pack_length=512, train_sampling_strategy="random", torch_compile=True
            ),
            ["fsdp", "torch_compile"],
        ),
        (lambda p: p["train"].update(SHARDED, soup_members=2), ["fsdp", "soup_members"]),
        (lambda p: p["train"].update(SHARDED, optim="paged_adamw_8bit"), ["fsdp", "adamw_torch"]),
        (lambda p: p["train"].update(SHARDED, optim="sgd"), ["fsdp", "adamw_torch"]),
        (lambda p: p["train"].update(GRAPHED, num_processes=2), ["cuda_graph", "num_processes"]),
    ],
)
def test_bad_params_name_the_key_on_one_line(tmp_path, change, words):
    with pytest.raises(InputError) as raised:
        load_params("dataset", path=changed(tmp_path, change))
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_number_that_yaml_1_1_reads_as_text_is_a_number(tmp_path):
    """`dvc exp run -S train.lr=2.0e-5` writes 2e-05, which PyYAML reads as a string."""
    path = changed(tmp_path, lambda p: None)
    path.write_text(
        path.read_text(encoding="utf-8").replace("learning_rate: 0.002", "learning_rate: 2e-05"),
        encoding="utf-8",
    )
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["train"]["learning_rate"] == "2e-05"
    assert load_params("train", path=path).train.learning_rate == 2e-05


@pytest.mark.parametrize("content", ["a: [", "- 1\n", "", "\ttab: 1"])
def test_what_is_not_a_mapping_is_refused(tmp_path, content):
    (tmp_path / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"params\.yaml"):
        load_params("lora", path=tmp_path / "params.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_params("lora", path=tmp_path / "params.yaml")


def test_a_section_that_was_not_asked_for_cannot_be_read():
    params = load_params("lora", path=ROOT / "params.yaml")
    assert params.runtime.progress == "auto"
    with pytest.raises(AttributeError, match="train was not loaded: name it in load_params"):
        params.train  # noqa: B018


@pytest.mark.parametrize("section", SECTIONS)
def test_a_schema_lists_the_keys_of_the_quickstart(section):
    assert set(Params.model_fields[section].annotation.model_fields) == set(QUICKSTART[section])


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("lora", "r", True, ["lora.r", "number"]),
        ("train", "learning_rate", True, ["train.learning_rate", "number"]),
        ("quantize", "double_quant", "yes", ["quantize.double_quant"]),
        ("train", "load_best_model_at_end", True, ["load_best_model_at_end needs eval_steps"]),
        ("train", "seed", 2**32, ["train.seed"]),
        ("lora", "r", 10**12, ["lora.r"]),
        ("train", "optim", "galore_adamw", ["train.optim"]),
        ("train", "lr_scheduler_type", "cosine_with_min_lr", ["train.lr_scheduler_type"]),
    ],
)
def test_what_the_libraries_would_choke_on_is_refused(tmp_path, section, key, value, words):
    params = yaml.safe_load((ROOT / "profiles/quickstart.yaml").read_text(encoding="utf-8"))
    params[section][key] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_params(path=path)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("content", ["lora: {r: 1, r: 2}", "a: 2026-13-45", "a: !!int abc", "[" * 3000])
def test_yaml_that_is_none(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"params\.yaml is not YAML"):
        load_params(path=path)


@pytest.mark.parametrize("keys", [("r", "r"), ("1", "0x1"), ("yes", "true"), ("~", "null")])
def test_a_key_that_stands_there_twice_is_named_with_its_line(tmp_path, keys):
    first, second = keys
    (tmp_path / "params.yaml").write_text(f"lora:\n  {first}: 1\n  {second}: 2\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"key '{second}' stands there twice.*line 3"):
        load_params("lora", path=tmp_path / "params.yaml")


def test_a_merged_key_may_be_overridden(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("\nlora:\n", "\nlora:\n  <<: {r: 3, lora_dropout: 0.5}\n")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert load_params("lora", path=tmp_path / "params.yaml").lora.r == QUICKSTART["lora"]["r"]


@pytest.mark.parametrize(
    ("value", "expected"), [("010", 10), ("0x10", 16), ("+7", 7), ("1:30", None), ("0b11", None)]
)
def test_numbers_are_those_that_dvc_reads(tmp_path, value, expected):
    """DVC reads YAML 1.2, in which 010 is ten, and 1:30 a text."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace(f"\n  r: {QUICKSTART['lora']['r']}\n", f"\n  r: {value}\n")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    if expected is None:
        with pytest.raises(InputError, match=r"lora\.r"):
            load_params("lora", path=tmp_path / "params.yaml")
    else:
        assert load_params("lora", path=tmp_path / "params.yaml").lora.r == expected
