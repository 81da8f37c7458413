"""LoRA on NF4 weights at the cost of the weights alone: base and adapter are multiplied as one matrix.

The adapter's own products do little arithmetic, but read and write a step's largest tensors several times.
An NF4 weight is expanded at each pass anyway (QLoRA, arXiv:2305.14314). W + s B A costs the same to expand
to. So the forward pass is one product, and so is the gradient of its input.

The sum is rounded once, from fp32: added to a W in bf16, the first updates of a training would be lost. In
float8, each row of either factor has a scale of its own, as in torchao's recipe "rowwise". Gradients of A and
B stay in bf16, since they add up. A test measures what either rounding does.
"""

from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any

import torch
from bitsandbytes.functional import dequantize_blockwise
from peft import PeftModel
from peft.tuners.lora.bnb import Linear4bit
from torch.nn import functional

from viggo_pipe.core.errors import InputError
from viggo_pipe.training.fusable import check_fusable


def fuse_lora(model: PeftModel, float8: bool = False) -> None:
    """Have the adapter of `model` computed with the weights that it lies on, in training as in evaluation.

    Args:
        float8: multiply in float8 (e4m3); else in the weights' compute dtype.

    Raises:
        InputError: the adapter lies on weights that are not in NF4, or has dropout, which W + s B A cannot
            have; or a layer's width is not a multiple of 16, as float8 needs it.
    """
    module: Any
    for module in model.modules():
        if not hasattr(module, "lora_A"):
            continue
        is_quantized = type(module) is Linear4bit
        if not is_quantized or module.base_layer.weight.quant_type != "nf4":
            raise InputError(
                "train.fuse_lora needs weights in NF4: set quantize.bits to 4, or train.fuse_lora to false"
            )
        check_fusable(module, float8)
        _fuse(module, float8)


def _fuse(layer: Any, float8: bool) -> None:
    """Unpack the scales, which double quantization holds in 8 bits (0.06 bytes a parameter), and have `layer`
    computed by `_fused_forward`.

    It stays peft's layer, so that all of peft's methods work on it. It is `Any`, since torch's types take
    whatever a module holds for a tensor or a module.
    """
    state = layer.base_layer.weight.quant_state
    absmax = state.absmax
    if state.nested:
        absmax = dequantize_blockwise(absmax, state.state2) + state.offset
    layer.register_buffer("scales", absmax.float(), persistent=False)
    layer.register_buffer("levels", state.code.float(), persistent=False)
    layer.in_float8 = float8
    layer.forward = MethodType(_fused_forward, layer)


def _fused_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """The forward pass of peft's LoRA layer on an NF4 one, with one adapter and without dropout."""
    (name,) = layer.active_adapters
    packed, bias = layer.base_layer.weight, layer.base_layer.bias
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    x = x.to(layer.base_layer.compute_dtype)
    rows = _rows_in_float8(x) if layer.in_float8 else (None, None)
    product = _fused_linear(x, *rows, packed, layer.scales, layer.levels, a, b, layer.scaling[name])
    return product if bias is None else product + bias.to(product.dtype)


def _weight(
    packed: torch.Tensor,
    scales: torch.Tensor,
    levels: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """W + s B A in fp32, (out, in). W is in NF4: two values a byte, the first in its upper half."""
    packed = packed.detach().flatten().view(torch.uint8)
    halves = torch.stack((packed >> 4, packed & 15), -1)
    base = levels[halves.int()].view(len(scales), -1) * scales.unsqueeze(1)
    return base.view(len(b), -1) + scaling * (b.bfloat16() @ a.bfloat16()).float()


def _plain_weight(dtype: torch.dtype, *weight: Any) -> torch.Tensor:
    return _weight(*weight).to(dtype)


def _float8_weight(*weight: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return _to_float8(_weight(*weight))


def _float8_transposed(*weight: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return _to_float8(_weight(*weight).T)


def _to_float8(wide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`wide`, (rows, columns), in float8 with a row's columns side by side; and the rows' scales in fp32."""
    scales = wide.abs().amax(1).float().clamp(min=1e-12) / torch.finfo(torch.float8_e4m3fn).max
    return (wide.float() / scales.unsqueeze(1)).to(torch.float8_e4m3fn).contiguous(), scales


def _rows_in_float8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return _to_float8(x.detach().flatten(0, -2))


@cache
def _on(device_type: str, function: Callable) -> Callable:
    # On a CPU, compiling takes longer than it saves.
    return torch.compile(function, dynamic=False) if device_type == "cuda" else function


# A function is compiled anew for each of torch's modes that it is called in, eight times at most: so all
# calls are in one mode.
@torch.no_grad()
def _multiply(
    x: torch.Tensor,
    rows: torch.Tensor | None,
    row_scales: torch.Tensor | None,
    transposed: bool,
    *weight: Any,
) -> torch.Tensor:
    """The product of `x` (..., n) and W + s B A (m, n) transposed, or where `transposed` says so, of x (...,
    m) and it.

    It is in float8 if `rows` and `row_scales` are x in float8.
    """
    kind = x.device.type
    with torch.autocast(kind, enabled=False):
        if rows is None:
            wide = _on(kind, _plain_weight)(x.dtype, *weight)
            return x @ (wide if transposed else wide.T)
        assert row_scales is not None  # as there are `rows`
        columns, column_scales = _on(kind, _float8_transposed if transposed else _float8_weight)(*weight)
        product = functional.scaled_mm(
            rows,
            columns.T,
            row_scales.unsqueeze(1),
            functional.ScalingType.RowWise,
            column_scales.unsqueeze(0),
            functional.ScalingType.RowWise,
            output_dtype=x.dtype,
            use_fast_accum=True,
        )
    return product.unflatten(0, x.shape[:-1])


# Opaque to torch.compile, which would keep the expanded weight for the backward pass: 14 GB at 7 billion
# parameters.
@torch.library.custom_op("viggo_pipe::fused_linear", mutates_args=())
def _fused_linear(
    x: torch.Tensor,
    rows: torch.Tensor | None,
    row_scales: torch.Tensor | None,
    packed: torch.Tensor,
    scales: torch.Tensor,
    levels: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    return _multiply(x, rows, row_scales, False, packed, scales, levels, a, b, scaling)


@_fused_linear.register_fake
def _(
    x: torch.Tensor,
    rows: torch.Tensor | None,
    row_scales: torch.Tensor | None,
    packed: torch.Tensor,
    scales: torch.Tensor,
    levels: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], len(b)))


@torch.library.custom_op("viggo_pipe::fused_linear_backward", mutates_args=())
def _fused_linear_backward(
    gradient: torch.Tensor,
    rows: torch.Tensor | None,
    row_scales: torch.Tensor | None,
    x: torch.Tensor,
    packed: torch.Tensor,
    scales: torch.Tensor,
    levels: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
    for_input: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    weight = (packed, scales, levels, a, b, scaling)
    x_gradient = _multiply(gradient, rows, row_scales, True, *weight) if for_input else x.new_empty(0)
    x, gradient = x.flatten(0, -2), gradient.flatten(0, -2)
    a_gradient = (gradient @ b.to(x.dtype)).T @ x
    b_gradient = gradient.T @ (x @ a.to(x.dtype).T)
    return x_gradient, a_gradient.to(a.dtype) * scaling, b_gradient.to(b.dtype) * scaling


@_fused_linear_backward.register_fake
def _(
    gradient: torch.Tensor,
    rows: torch.Tensor | None,
    row_scales: torch.Tensor | None,
    x: torch.Tensor,
    packed: torch.Tensor,
    scales: torch.Tensor,
    levels: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
    for_input: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return x.new_empty(x.shape if for_input else 0), torch.empty_like(a), torch.empty_like(b)


def _remember(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    x, rows, _, *weight, ctx.scaling = inputs
    ctx.float8 = rows is not None
    ctx.save_for_backward(x, *weight)


def _gradients(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    for_input = ctx.needs_input_grad[0]
    rows = _rows_in_float8(gradient) if ctx.float8 and for_input else (None, None)
    x, a, b = _fused_linear_backward(gradient, *rows, *ctx.saved_tensors, ctx.scaling, for_input)
    return x if for_input else None, None, None, None, None, None, a, b, None


_fused_linear.register_autograd(_gradients, setup_context=_remember)
