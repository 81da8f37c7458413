"""LoRA on NF4 weights at the cost of the weights alone: base and adapter are multiplied as one matrix.

The adapter's own products are of rank 8 or 16: they do 0.3% of a step's arithmetic and read and write its largest tensors
several times over. An NF4 weight is expanded at each pass anyway (QLoRA, arXiv:2305.14314), and W + s B A costs the same as W
to expand to: the forward pass is then one product, and so is the gradient of its input. What is left are the gradients of A
and B.

The sum is rounded once, out of fp32. Added to a W that is in bf16 already, updates below half of its last bit would be lost,
which are all of a training's first ones; NF4's levels times fp32 scales do not lie on bf16's grid, so that rounding is noise,
and of the size that bf16 weights have anyway. In float8 the noise is larger, 2% of a value: a fifth of what NF4 itself did to
the weights. Each row of either factor has a scale of its own, as torchao's recipe "rowwise" has it; the gradients of A and B,
which add up over a training, stay in bf16.
"""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
from collections.abc import Callable
from functools import cache

import torch
from bitsandbytes.functional import dequantize_blockwise
from peft import PeftModel
from peft.tuners.lora.bnb import Linear4bit
from torch.nn import functional

from viggo_pipe.errors import InputError


class FoldedLinear4bit(Linear4bit):
    """peft's LoRA layer on an NF4 one, with one adapter and without dropout."""

    def fold(self, float8: bool) -> None:
        """Unpack the scales, which double quantization holds in 8 bits: 0.06 bytes a parameter."""
        self._float8 = float8
        state = self.base_layer.weight.quant_state
        absmax = state.absmax
        if state.nested:
            absmax = dequantize_blockwise(absmax, state.state2) + state.offset
        self.register_buffer("scales", absmax.float(), persistent=False)
        self.register_buffer("levels", state.code.float(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (name,) = self.active_adapters
        packed = self.base_layer.weight
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        x = x.to(self.base_layer.compute_dtype)
        return _folded_linear(x, packed, self.scales, self.levels, a, b, self.scaling[name], self._float8)


def fold_adapter(model: PeftModel, float8: bool = False) -> None:
    """Have the adapter of `model` computed with the weights that it lies on, in training as in evaluation.

    Args:
        float8: multiply in float8 (e4m3), for which layers' widths must be multiples of 16; else in the weights' compute dtype.

    Raises:
        InputError: the adapter lies on weights that are not in NF4, or has dropout, which W + s B A cannot have.
    """
    for module in model.modules():
        if not hasattr(module, "lora_A"):
            continue
        if type(module) is not Linear4bit or module.base_layer.weight.quant_type != "nf4":
            raise InputError("train.fold_adapter needs weights in NF4: set quantize.bits to 4, or train.fold_adapter to false")
        if any(not isinstance(dropout, torch.nn.Identity) for dropout in module.lora_dropout.values()):
            raise InputError("train.fold_adapter cannot have dropout: set lora.dropout to 0, or train.fold_adapter to false")
        module.__class__ = FoldedLinear4bit
        module.fold(float8)


def _weight(
    packed: torch.Tensor, scales: torch.Tensor, levels: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scaling: float
) -> torch.Tensor:
    """W + s B A in fp32, of shape (out, in), where W is in NF4: two values a byte, the first one in its upper half."""
    halves = torch.stack((packed.flatten() >> 4, packed.flatten() & 15), -1)
    base = levels[halves.int()].view(len(scales), -1) * scales.unsqueeze(1)
    return base.view(len(b), -1) + scaling * (b.bfloat16() @ a.bfloat16()).float()


def _plain_weight(dtype: torch.dtype, *weight) -> torch.Tensor:
    return _weight(*weight).to(dtype)


def _float8_weight(transposed: bool, *weight) -> tuple[torch.Tensor, torch.Tensor]:
    wide = _weight(*weight)
    return _to_float8(wide.T.contiguous() if transposed else wide)


def _to_float8(wide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, columns) in float8, and the scales that give `wide` back, fp32 of shape (rows, 1)."""
    scales = wide.abs().amax(1, keepdim=True).float().clamp(min=1e-12) / torch.finfo(torch.float8_e4m3fn).max
    return (wide.float() / scales).to(torch.float8_e4m3fn), scales


@cache
def _on(device_type: str, function: Callable) -> Callable:
    # On a CPU, compiling takes longer than it saves.
    return torch.compile(function, dynamic=False) if device_type == "cuda" else function


def _multiply(x: torch.Tensor, transposed: bool, float8: bool, *weight) -> torch.Tensor:
    """The product of `x` (..., n) and W + s B A (m, n) transposed, or where `transposed` says so, of x (..., m) and it."""
    kind = x.device.type
    if not float8:
        wide = _on(kind, _plain_weight)(x.dtype, *weight)
        return x @ (wide if transposed else wide.T)
    rows, row_scales = _on(kind, _to_float8)(x.flatten(0, -2))
    columns, column_scales = _on(kind, _float8_weight)(transposed, *weight)
    product = functional.scaled_mm(
        rows,
        columns.T,
        row_scales,
        functional.ScalingType.RowWise,
        column_scales.T,
        functional.ScalingType.RowWise,
        output_dtype=x.dtype,
        use_fast_accum=True,
    )
    return product.unflatten(0, x.shape[:-1])


# Opaque to torch.compile, which would keep the expanded weight for the backward pass: 14 GB at 7 billion parameters.
@torch.library.custom_op("viggo_pipe::folded_linear", mutates_args=())
def _folded_linear(
    x: torch.Tensor,
    packed: torch.Tensor,
    scales: torch.Tensor,
    levels: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
    float8: bool,
) -> torch.Tensor:
    return _multiply(x, False, float8, packed, scales, levels, a, b, scaling)


@_folded_linear.register_fake
def _(x, packed, scales, levels, a, b, scaling, float8):
    return x.new_empty((*x.shape[:-1], len(b)))


@torch.library.custom_op("viggo_pipe::folded_linear_backward", mutates_args=())
def _folded_linear_backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    packed: torch.Tensor,
    scales: torch.Tensor,
    levels: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    scaling: float,
    float8: bool,
    for_input: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x_gradient = _multiply(gradient, True, float8, packed, scales, levels, a, b, scaling) if for_input else x.new_empty(0)
    x, gradient = x.flatten(0, -2), gradient.flatten(0, -2)
    a_gradient = (gradient @ b.to(x.dtype)).T @ x
    b_gradient = gradient.T @ (x @ a.to(x.dtype).T)
    return x_gradient, a_gradient.to(a.dtype) * scaling, b_gradient.to(b.dtype) * scaling


@_folded_linear_backward.register_fake
def _(gradient, x, packed, scales, levels, a, b, scaling, float8, for_input):
    return torch.empty_like(x) if for_input else x.new_empty(0), torch.empty_like(a), torch.empty_like(b)


def _remember(ctx, inputs, output) -> None:
    *tensors, ctx.scaling, ctx.float8 = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx, gradient):
    for_input = ctx.needs_input_grad[0]
    x, a, b = _folded_linear_backward(gradient, *ctx.saved_tensors, ctx.scaling, ctx.float8, for_input)
    return x if for_input else None, None, None, None, a, b, None, None


_folded_linear.register_autograd(_gradients, setup_context=_remember)
