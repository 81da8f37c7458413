"""LoRA on NF4 weights at the cost of the weights alone: base and adapter are multiplied as one matrix.

The adapter's own products are of a low rank: they do little of a step's arithmetic, and read and write its largest tensors
several times over. An NF4 weight is expanded at each pass anyway (QLoRA, arXiv:2305.14314), and W + s B A costs the same as W
to expand to: the forward pass is then one product, and so is the gradient of its input. What is left are the gradients of A
and B.

The sum is rounded once, out of fp32. Added to a W that is in bf16 already, updates below half of its last bit would be lost,
which are all of a training's first ones; NF4's levels times fp32 scales do not lie on bf16's grid, so that rounding is noise,
and of the size that bf16 weights have anyway. In float8 the noise is larger, but less than a third of what NF4 itself did to the
weights (a test measures both). Each row of either factor has a scale of its own, as torchao's recipe "rowwise" has it; the
gradients of A and B, which add up over a training, stay in bf16. Products take factors that are in float8 already: torch.compile
has the norms and activations, and their gradients, write them, and once for all the layers that read them.
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

_FLOAT8_WIDTH = 16  # what torch's product of float8 matrices takes multiples of


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
        rows = _rows_in_float8(x) if self._float8 else (None, None)
        product = _folded_linear(x, *rows, packed, self.scales, self.levels, a, b, self.scaling[name])
        return product if self.base_layer.bias is None else product + self.base_layer.bias.to(product.dtype)


def fold_adapter(model: PeftModel, float8: bool = False) -> None:
    """Have the adapter of `model` computed with the weights that it lies on, in training as in evaluation.

    Args:
        float8: multiply in float8 (e4m3); else in the weights' compute dtype.

    Raises:
        InputError: the adapter lies on weights that are not in NF4, or has dropout, which W + s B A cannot have; or a layer's
            width is not a multiple of 16, as float8 needs it.
    """
    for module in model.modules():
        if not hasattr(module, "lora_A"):
            continue
        if type(module) is not Linear4bit or module.base_layer.weight.quant_type != "nf4":
            raise InputError("train.fold_adapter needs weights in NF4: set quantize.bits to 4, or train.fold_adapter to false")
        if any(not isinstance(dropout, torch.nn.Identity) for dropout in module.lora_dropout.values()):
            raise InputError("train.fold_adapter cannot have dropout: set lora.dropout to 0, or train.fold_adapter to false")
        if float8 and (module.in_features % _FLOAT8_WIDTH or module.out_features % _FLOAT8_WIDTH):
            raise InputError(
                f"train.float8 needs layers whose widths are multiples of {_FLOAT8_WIDTH}, but one is {module.in_features} to "
                f"{module.out_features} wide: set it to false"
            )
        module.__class__ = FoldedLinear4bit
        module.fold(float8)


def _weight(
    packed: torch.Tensor, scales: torch.Tensor, levels: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scaling: float
) -> torch.Tensor:
    """W + s B A in fp32, of shape (out, in), where W is in NF4: two values a byte, the first one in its upper half."""
    packed = packed.detach().flatten().view(torch.uint8)
    halves = torch.stack((packed >> 4, packed & 15), -1)
    base = levels[halves.int()].view(len(scales), -1) * scales.unsqueeze(1)
    return base.view(len(b), -1) + scaling * (b.bfloat16() @ a.bfloat16()).float()


def _plain_weight(dtype: torch.dtype, *weight) -> torch.Tensor:
    return _weight(*weight).to(dtype)


def _float8_weight(*weight) -> tuple[torch.Tensor, torch.Tensor]:
    return _to_float8(_weight(*weight))


def _float8_transposed(*weight) -> tuple[torch.Tensor, torch.Tensor]:
    return _to_float8(_weight(*weight).T)


def _to_float8(wide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, columns) in float8, a row's columns side by side, and the rows' scales that give `wide` back, in fp32."""
    scales = wide.abs().amax(1).float().clamp(min=1e-12) / torch.finfo(torch.float8_e4m3fn).max
    return (wide.float() / scales.unsqueeze(1)).to(torch.float8_e4m3fn).contiguous(), scales


def _rows_in_float8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return _to_float8(x.detach().flatten(0, -2))


@cache
def _on(device_type: str, function: Callable) -> Callable:
    # On a CPU, compiling takes longer than it saves.
    return torch.compile(function, dynamic=False) if device_type == "cuda" else function


# A function is compiled anew for each of torch's modes that it is called in, eight times at most: so all calls are in one mode.
@torch.no_grad()
def _multiply(
    x: torch.Tensor, rows: torch.Tensor | None, row_scales: torch.Tensor | None, transposed: bool, *weight
) -> torch.Tensor:
    """The product of `x` (..., n) and W + s B A (m, n) transposed, or where `transposed` says so, of x (..., m) and it.

    It is in float8 if `rows` and `row_scales` are x in float8.
    """
    kind = x.device.type
    with torch.autocast(kind, enabled=False):
        if rows is None:
            wide = _on(kind, _plain_weight)(x.dtype, *weight)
            return x @ (wide if transposed else wide.T)
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


# Opaque to torch.compile, which would keep the expanded weight for the backward pass: 14 GB at 7 billion parameters.
@torch.library.custom_op("viggo_pipe::folded_linear", mutates_args=())
def _folded_linear(
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


@_folded_linear.register_fake
def _(x, rows, row_scales, packed, scales, levels, a, b, scaling):
    return x.new_empty((*x.shape[:-1], len(b)))


@torch.library.custom_op("viggo_pipe::folded_linear_backward", mutates_args=())
def _folded_linear_backward(
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


@_folded_linear_backward.register_fake
def _(gradient, rows, row_scales, x, packed, scales, levels, a, b, scaling, for_input):
    return x.new_empty(x.shape if for_input else 0), torch.empty_like(a), torch.empty_like(b)


def _remember(ctx, inputs, output) -> None:
    x, rows, _, *weight, ctx.scaling = inputs
    ctx.float8 = rows is not None
    ctx.save_for_backward(x, *weight)


def _gradients(ctx, gradient):
    for_input = ctx.needs_input_grad[0]
    rows = _rows_in_float8(gradient) if ctx.float8 and for_input else (None, None)
    x, a, b = _folded_linear_backward(gradient, *rows, *ctx.saved_tensors, ctx.scaling, for_input)
    return x if for_input else None, None, None, None, None, None, a, b, None


_folded_linear.register_autograd(_gradients, setup_context=_remember)
