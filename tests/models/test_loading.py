"""A checkpoint is loaded wholly and exactly, or refused in one line."""

import json
import shutil

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from viggo_pipe.config.settings.quantize import QuantizeSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.models.loading import check_weights, load_model


def settings(bits=16, double_quant=True):
    return QuantizeSettings(bits=bits, double_quant=double_quant)


def refusal(folder, quantize, capfd) -> str:
    """The line that `load_model` refuses `folder` with. `check_weights` has it too; nothing else is said."""
    lines = []
    for read in (load_model, check_weights):
        with pytest.raises(InputError) as raised:
            read(BaseCheckpoint(folder, "tiny", None), quantize)
        lines.append(str(raised.value))
    assert lines[0] == lines[1] and "\n" not in lines[0]
    assert capfd.readouterr() == ("", "")
    return lines[0]


@pytest.fixture
def folder(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "tiny")


def change_config(folder, **keys):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | keys), encoding="utf-8")


def change_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(Q), f"of its tensors 1 missing ({Q})"),
        (lambda t: t.update(other=torch.ones(2)), "of its tensors 1 left over (other)"),
        (lambda t: t.update({f"x.{Q}": t.pop(Q)}), f"1 missing ({Q}); 1 left over (x.{Q})"),
        (lambda t: t.update({Q: t[Q][:8].clone()}), f"of its tensors 1 of another shape ({Q})"),
        (lambda t: [t.pop(name) for name in list(t) if "layers.1." in name], "9 missing (model.layers.1."),
    ],
    ids=["missing", "left over", "renamed", "another shape", "half"],
)
@pytest.mark.parametrize("bits", [4, 16])
def test_tensors_that_are_not_the_models_are_counted_and_named(folder, capfd, bits, change, words):
    change_tensors(folder, change)
    line = refusal(folder, settings(bits), capfd)
    assert words in line and str(folder) in line and "MistralForCausalLM" in line


def test_tied_weights_and_what_the_class_ignores_are_no_fault(tmp_path):
    sizes = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    tied = LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=True))
    tied.save_pretrained(tmp_path / "tied")
    change_tensors(
        tmp_path / "tied",
        lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
    )
    masked = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, n_positions=8))
    masked.save_pretrained(tmp_path / "masked")
    change_tensors(
        tmp_path / "masked",
        lambda t: t.update({"transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.uint8)}),
    )
    for name, model in {"tied": tied, "masked": masked}.items():
        base, ids = BaseCheckpoint(tmp_path / name, name, None), torch.tensor([[1, 2, 3]])
        check_weights(base, settings(32))
        load_model(base, settings(4))
        assert torch.equal(load_model(base, settings(32))(ids).logits, model.eval()(ids).logits)


METHODS = [
    ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "(bitsandbytes 8-bit)"),
    ({"load_in_8bit": True}, "(bitsandbytes 8-bit)"),
    ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "(bitsandbytes 4-bit fp4)"),
    ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "(fp8)"),
    ({"quant_method": "gptq", "bits": 4}, "(gptq)"),
    ({"quant_method": "awq", "bits": 4}, "(awq)"),
    ({"quant_method": "mxfp4"}, "(mxfp4)"),
    ({"quant_method": "of tomorrow"}, "(of tomorrow)"),
]


@pytest.mark.parametrize("bits", [4, 16, 32])
@pytest.mark.parametrize(("own", "words"), METHODS, ids=[words for _, words in METHODS])
def test_a_checkpoint_that_is_quantized_already_is_refused_by_its_method(folder, capfd, own, words, bits):
    change_config(folder, quantization_config=own)
    line = refusal(folder, settings(bits), capfd)
    assert f"tiny is quantized already {words}" in line and "name the model that it was made from" in line


@pytest.mark.parametrize(
    "keys",
    [{"compression_config": {"quant_method": "x"}}, {"text_config": {"quantization_config": {"a": 1}}}],
)
def test_a_quantization_that_stands_elsewhere_is_found(folder, capfd, keys):
    change_config(folder, **keys)
    assert "is quantized already" in refusal(folder, settings(), capfd)


@pytest.mark.parametrize(
    ("dtype", "said"), [(torch.float8_e4m3fn, "F8_E4M3"), (torch.int8, "I8"), (torch.uint8, "U8")]
)
def test_codes_are_found_though_config_json_does_not_say_so(folder, capfd, dtype, said):
    change_tensors(folder, lambda t: t.update({Q: t[Q].to(dtype)}))
    assert f"({Q} is {said})" in refusal(folder, settings(), capfd)


@pytest.fixture(params=[True, False], ids=["double", "plain"])
def nf4(request, tiny_folder, tmp_path):
    """A checkpoint in NF4, the model that wrote it, and its quantize.double_quant."""
    model = AutoModelForCausalLM.from_pretrained(
        tiny_folder,
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=request.param,
            bnb_4bit_compute_dtype=torch.float16,
        ),
    )
    model.save_pretrained(tmp_path / "nf4")
    return tmp_path / "nf4", model, request.param


def test_a_checkpoint_in_nf4_is_loaded_as_it_is(nf4, tiny_folder):
    folder, _, double_quant = nf4
    base, quantize = BaseCheckpoint(folder, "tiny", None), settings(4, double_quant)
    check_weights(base, quantize)
    found, expected = (
        load_model(base, quantize),
        load_model(BaseCheckpoint(tiny_folder, "tiny", None), quantize),
    )
    assert any(isinstance(module, Linear4bit) for module in found.modules())
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        assert torch.equal(found(ids).logits, expected(ids).logits)


def test_a_checkpoint_in_nf4_is_refused_in_other_bits(nf4, capfd):
    folder, _, double_quant = nf4
    words = f"set quantize.bits to 4 and quantize.double_quant to {str(double_quant).lower()}"
    capfd.readouterr()
    for quantize in (settings(16, double_quant), settings(32, double_quant), settings(4, not double_quant)):
        line = refusal(folder, quantize, capfd)
        assert "tiny is quantized already (bitsandbytes 4-bit nf4)" in line and words in line
