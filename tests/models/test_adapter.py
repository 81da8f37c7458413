"""The adapter on disk: what is written, that the same weights give the same bytes, and what is refused."""

import copy
import json

import pytest
import torch
from peft import LoraConfig, get_peft_model

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.adapter import (
    REVERSE,
    adapter_prompt,
    has_reverse,
    load_adapter,
    reverse_adapter,
    save_adapter,
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
