"""The adapter on disk: what is written, that the same weights give the same bytes, and what is refused."""

import copy
import json
import warnings

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.adapter import (
    REVERSE,
    adapter_prompt,
    has_reverse,
    load_adapter,
    reverse_adapter,
    save_adapter,
    save_checkpoints_adapter,
)
from viggo_pipe.models.base_model import BaseCheckpoint

PROMPT = PromptSettings(template="{sentence}\n", reverse="{meaning_representation}\n")


@pytest.fixture(scope="module")
def base(tiny_folder):
    return BaseCheckpoint(tiny_folder, "tiny", "0" * 40)


@pytest.fixture
def adapted(tiny_parts):
    """A model with two random adapters, one of them reverse."""
    torch.manual_seed(0)
    modules = ["v_proj", "q_proj", "down_proj"]
    config = LoraConfig(r=2, target_modules=modules, init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(tiny_parts[0]), config)
    model.add_adapter(REVERSE, config)
    return model


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_weights_give_the_same_files(adapted, base, tmp_path):
    for name in ("one", "two"):
        save_adapter(adapted, base, PROMPT, tmp_path / name)
    files = contents(tmp_path / "one")
    peft_files = {"adapter_config.json", "adapter_model.safetensors"}
    assert files.keys() == {"prompt.json", *peft_files, *(f"{REVERSE}/{name}" for name in peft_files)}
    assert contents(tmp_path / "two") == files
    config = json.loads(files["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == (base.name, base.revision)
    assert config["target_modules"] == ["down_proj", "q_proj", "v_proj"]


def test_a_loaded_adapter_computes_what_the_saved_one_does(adapted, base, tiny_parts, tmp_path):
    save_adapter(adapted, base, PROMPT, tmp_path / "adapter")
    assert has_reverse(tmp_path / "adapter") and adapter_prompt(tmp_path / "adapter") == PROMPT
    loaded = load_adapter(copy.deepcopy(tiny_parts[0]), base, tmp_path / "adapter")
    ids = torch.tensor([[5, 6, 7]])
    adapted.eval()
    with torch.inference_mode():
        forward = loaded(ids).logits
        assert torch.equal(forward, adapted(ids).logits)
        with reverse_adapter(loaded), reverse_adapter(adapted):
            reverse = loaded(ids).logits
            assert torch.equal(reverse, adapted(ids).logits)
        assert torch.equal(loaded(ids).logits, forward) and not torch.equal(reverse, forward)


def test_an_adapter_of_another_base_is_refused(adapted, base, tiny_parts, tmp_path):
    save_adapter(adapted, base, PROMPT, tmp_path / "adapter")
    other = BaseCheckpoint(base.folder, "other", None)
    with pytest.raises(InputError, match=r"was trained on tiny at 000000000000, but .* model is other"):
        load_adapter(tiny_parts[0], other, tmp_path / "adapter")


def test_what_is_missing_or_damaged_is_named(adapted, base, tiny_parts, tmp_path):
    plain = copy.deepcopy(tiny_parts[0])
    with pytest.raises(InputError, match="no adapter"):
        adapter_prompt(tmp_path)
    save_adapter(adapted, base, PROMPT, tmp_path / "adapter")
    weights = tmp_path / "adapter/adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="is damaged or of another model"):
        load_adapter(plain, base, tmp_path / "adapter")
    weights.unlink()
    with pytest.raises(InputError, match=r"has no adapter_model\.safetensors"):
        load_adapter(plain, base, tmp_path / "adapter")


A = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
NORM = "base_model.model.model.norm.weight"


@pytest.mark.parametrize("part", ["", REVERSE])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(A), f"1 are missing and 0 left over, such as {A}"),
        (lambda t: t.update({f"x.{A}": t.pop(A)}), f"1 are missing and 1 left over, such as {A}"),
        (
            lambda t: t.update({A.replace("layers.1", "layers.7"): t[A].clone()}),
            "0 are missing and 1 left over",
        ),
        (lambda t: t.update({NORM: torch.zeros(64)}), f"0 are missing and 1 left over, such as {NORM}"),
        (
            lambda t: [t.update({n.removeprefix("base_model.model."): t.pop(n)}) for n in list(t)],
            "12 are missing and 12 left over",
        ),
    ],
    ids=["missing", "renamed", "another layer", "of the base", "without peft's prefix"],
)
def test_other_tensors_than_the_adapters_are_refused(
    adapted, base, tiny_parts, tmp_path, part, change, words
):
    save_adapter(adapted, base, PROMPT, tmp_path / "adapter")
    path = tmp_path / "adapter" / part / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    with warnings.catch_warnings(), pytest.raises(InputError) as raised:
        warnings.filterwarnings("error", "Found missing")  # nothing is said but the line
        load_adapter(copy.deepcopy(tiny_parts[0]), base, tmp_path / "adapter")
    line = str(raised.value)
    assert line.startswith(f"{path} is of another model") and words in line and "\n" not in line


@pytest.mark.parametrize("part", ["", REVERSE])
@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("peft_type", "IA3", "peft_type is 'IA3', not 'LORA'"),
        ("peft_type", None, "peft_type is 'None', not 'LORA'"),
        ("target_modules", ["q_proj", "v_proj", "up_proj"], "is of another model, or its adapter_config"),
        ("layers_to_transform", [0], "is of another model, or its adapter_config"),
        ("r", 3, "is damaged or of another model"),
    ],
)
def test_a_changed_configuration_is_refused(adapted, base, tiny_parts, tmp_path, part, key, value, words):
    save_adapter(adapted, base, PROMPT, tmp_path / "adapter")
    path = tmp_path / "adapter" / part / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {key: value}), encoding="utf-8")
    with pytest.raises(InputError, match=words) as raised:
        load_adapter(copy.deepcopy(tiny_parts[0]), base, tmp_path / "adapter")
    assert "\n" not in str(raised.value)


def test_an_adapter_of_the_embedding_is_saved_without_the_bases(base, tiny_parts, tmp_path):
    """peft would write the whole embedding, and put it in the place of the base's."""
    config = LoraConfig(r=2, target_modules=["embed_tokens", "lm_head"], task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(tiny_parts[0]), config)
    model.save_pretrained(tmp_path / "checkpoint")  # as the Trainer does
    save_checkpoints_adapter(tmp_path / "checkpoint", base, PROMPT, tmp_path / "kept")
    save_adapter(model, base, PROMPT, tmp_path / "adapter")
    assert contents(tmp_path / "kept") == contents(tmp_path / "adapter")
    names = load_file(tmp_path / "adapter/adapter_model.safetensors").keys()
    assert len(names) == 4 and all("lora" in name for name in names)
    load_adapter(copy.deepcopy(tiny_parts[0]), base, tmp_path / "adapter")
