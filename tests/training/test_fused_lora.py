"""Layers that multiply by weights and adapter at once give what peft's own layers give, within rounding."""

import copy

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model

from viggo_pipe.core.errors import InputError
from viggo_pipe.training import fused_lora
from viggo_pipe.training.fused_lora import (
    _fused_linear,
    _fused_linear_backward,
    _rows_in_float8,
    _to_float8,
    fuse_lora,
)

ROUNDING = {False: 0.006, True: 0.06}  # relative, of two products one after the other, in bf16 and in float8
ROWS, TOKENS = 2, 24
# A CPU has no such product before torch 2.13; `train.float8` asks for a GPU anyway.
WITH_FLOAT8 = pytest.param(
    True, marks=pytest.mark.skipif(torch.__version__ < (2, 13), reason="torch multiplies no float8 here")
)


class Block(torch.nn.Module):
    """Two 4-bit layers with a gate between them, as in an MLP."""

    def __init__(self, wide=192, storage=torch.uint8, quant_type="nf4"):
        super().__init__()
        self.is_loaded_in_4bit = True  # for peft to know
        kind = {"quant_type": quant_type, "quant_storage": storage, "compute_dtype": torch.bfloat16}
        self.up, self.down = (
            Linear4bit(128, wide, bias=True, **kind),
            Linear4bit(wide, 128, bias=False, **kind),
        )

    def forward(self, x):
        return self.down(torch.nn.functional.silu(self.up(x)))


def adapted(device="cpu", dropout=0.0, **block):
    """The block with an adapter that has been trained a little, as far as its values go."""
    torch.manual_seed(0)
    config = LoraConfig(
        r=8, lora_alpha=16, lora_dropout=dropout, target_modules=["up", "down"], init_lora_weights=False
    )
    return get_peft_model(Block(**block).to(device), config)


def outputs_and_gradients(model, device="cpu"):
    """The block's output, and the gradients of its input and its adapters."""
    numbers = torch.Generator().manual_seed(1)
    x, wanted = (
        torch.randn(ROWS, TOKENS, 128, generator=numbers).to(device, torch.bfloat16) for _ in range(2)
    )
    x.requires_grad_()
    output = model(x)
    output.backward(wanted)
    return {"output": output.detach(), "input": x.grad} | {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def error(found, expected):
    return ((found.float() - expected.float()).norm() / expected.float().norm()).item()


def test_numbers_are_those_of_the_peft_layers():
    expected = outputs_and_gradients(adapted())
    model = adapted()
    fuse_lora(model)
    found = outputs_and_gradients(model)
    assert found.keys() == expected.keys() and len(found) == 6
    assert all(
        error(found[name], expected[name]) < 1.5 * ROUNDING[False] for name in expected
    )  # both are rounded


@pytest.mark.parametrize("float8", [False, WITH_FLOAT8])
def test_numbers_are_those_of_wide_weights(float8):
    expected = outputs_and_gradients(wide(adapted()))
    model = adapted()
    fuse_lora(model, float8)
    found = outputs_and_gradients(model)
    assert all(error(found[name], expected[name]) < ROUNDING[float8] for name in expected)


def wide(model):
    """The same model with the weights and all that is computed in fp32."""
    for module in model.modules():
        if isinstance(module, Linear4bit):
            state = copy.copy(module.weight.quant_state)
            state.dtype = torch.float32
            plain = torch.nn.Linear(module.in_features, module.out_features, module.bias is not None)
            plain.weight = torch.nn.Parameter(dequantize_4bit(module.weight.data, state), requires_grad=False)
            if module.bias is not None:
                plain.bias = torch.nn.Parameter(module.bias.data.float(), requires_grad=False)
            for parent in model.modules():
                if getattr(parent, "base_layer", None) is module:
                    parent.base_layer = plain
    model.register_forward_pre_hook(lambda module, inputs: (inputs[0].float(),))
    return model


def test_weights_may_be_stored_in_another_dtype():
    """FSDP shards parameters of one dtype, for which QLoRA's packed weights are stored in bf16."""
    usual, stored = adapted(), adapted(storage=torch.bfloat16)
    for model in (usual, stored):
        fuse_lora(model)
    expected, found = outputs_and_gradients(usual), outputs_and_gradients(stored)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_float8_rounds_less_than_nf4_did():
    torch.manual_seed(0)
    weight = torch.randn(256, 1024)
    layer = Linear4bit(1024, 256, quant_type="nf4")
    layer.weight.data = weight
    state = layer.to("cpu").weight.quant_state
    state.dtype = torch.float32
    quantized = dequantize_4bit(layer.weight.data, state)
    narrow, scales = _to_float8(quantized)
    assert error(narrow.float() * scales.unsqueeze(1), quantized) < error(quantized, weight) / 3


def test_float8_survives_rows_of_zeros_and_of_tiny_gradients():
    tiny = torch.tensor([[0.0, 0.0], [1e-11, -2e-11]])
    narrow, scales = _to_float8(tiny.bfloat16())
    torch.testing.assert_close(narrow.float() * scales.unsqueeze(1), tiny, rtol=0.1, atol=0)


@pytest.mark.parametrize("float8", [False, WITH_FLOAT8])
def test_the_operators_are_what_torch_compile_takes_them_for(float8):
    model = adapted()
    fuse_lora(model)
    layer = model.base_model.model.up
    weight = (
        layer.base_layer.weight,
        layer.scales,
        layer.levels,
        layer.lora_A.default.weight,
        layer.lora_B.default.weight,
    )
    x = torch.randn(TOKENS, ROWS, 128, dtype=torch.bfloat16).transpose(
        0, 1
    )  # attention's output is strided like this
    gradient = torch.randn(ROWS, TOKENS, 192, dtype=torch.bfloat16)
    checks = (
        ("test_faketensor",) if float8 else ("test_schema", "test_faketensor")
    )  # which multiplies what it is given
    rows, its_rows = (
        (_rows_in_float8(x), _rows_in_float8(gradient)) if float8 else ((None, None), (None, None))
    )
    torch.library.opcheck(_fused_linear, (x, *rows, *weight, 2.0), test_utils=checks)
    for for_input in (True, False):
        given = (gradient, *its_rows, x, *weight, 2.0, for_input)
        torch.library.opcheck(_fused_linear_backward, given, test_utils=checks)


@pytest.mark.parametrize("float8", [False, WITH_FLOAT8])
def test_a_function_is_compiled_once_a_shape_in_both_passes_and_evaluations(monkeypatch, float8):
    """torch compiles a function eight times at most: Mistral's four shapes of weights are too many for twice
    or thrice each.
    """
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    functions = {}

    def compiling(kind, function):
        return functions.setdefault(function, torch.compile(function, dynamic=False, backend=backend))

    monkeypatch.setattr(fused_lora, "_on", compiling)
    model = adapted()
    fuse_lora(model, float8)
    x = torch.randn(ROWS, TOKENS, 128, dtype=torch.bfloat16, requires_grad=True)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(x)
        output.backward(torch.ones_like(output))
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            model(x)
    assert len(compiled) == (
        2 * 2 if float8 else 2
    )  # in float8, weights are expanded in each of two directions


def test_what_cannot_be_folded_is_said():
    with pytest.raises(InputError, match=r"quantize\.bits to 4"):
        fuse_lora(adapted(quant_type="fp4"))
    plain = get_peft_model(torch.nn.Sequential(torch.nn.Linear(16, 16)), LoraConfig(target_modules=["0"]))
    with pytest.raises(InputError, match=r"quantize\.bits to 4"):
        fuse_lora(plain)
    with pytest.raises(InputError, match=r"lora\.lora_dropout to 0"):
        fuse_lora(adapted(dropout=0.1))
    with pytest.raises(InputError, match=r"multiples of 16.*128 to 200 wide"):
        fuse_lora(adapted(wide=200), float8=True)


@pytest.mark.gpu
@pytest.mark.parametrize("float8", [False, True])
def test_a_gpu_gives_the_numbers_of_wide_weights(float8):
    """By the compiled kernels and, in float8, by the GPU's products."""
    expected = outputs_and_gradients(wide(adapted()))
    model = adapted("cuda")
    fuse_lora(model, float8)
    found = outputs_and_gradients(model, "cuda")
    # A GPU quantizes and adds up a little otherwise.
    assert all(error(found[name].cpu(), expected[name]) < 1.5 * ROUNDING[float8] for name in expected)
