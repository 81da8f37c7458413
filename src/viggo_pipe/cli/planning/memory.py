"""How much memory training and prediction take, estimated from the base model's shape.

What is kept for the backward pass follows Korthikanti et al. 2022 (arXiv:2205.05198), by the tensors that
this pipeline's kernels keep. QLoRA's weights follow arXiv:2305.14314. The constants were fitted to
measurements of Mistral-7B's shape on one H100 (tests/cli/test_memory.py has them).
"""

from viggo_pipe.cli.planning.shape import Shape, adapted_layers, adapted_products, adapter_parameters
from viggo_pipe.config.settings.generate import GenerateSettings
from viggo_pipe.config.settings.lora import LoraSettings
from viggo_pipe.config.settings.quantize import QuantizeSettings
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.decoding.rerank import scored_at_once

# Compiled layers compute norms and activations again. Others keep this many times as much.
_EAGER = 2.0
_DROPOUT = 4  # bytes a value that LoRA's dropout is given: its product, its mask, and their casts
# Bytes a trained parameter outside a CUDA graph's memory, which nothing else may use: the sums of its
# gradients, and what the optimizer's step takes. Fitted to one measurement (tests/cli/test_memory.py has it).
_GRAPHED = 12
_LOGITS = 12  # bytes a logit: in bf16, in fp32, and the gradients of both
_EVALUATED_LOGITS = 10  # in bf16, in fp32, and its logarithm
_SLACK = 1.03  # of the sum: what torch's allocator holds and cannot give out
_GENERATION_SLACK = 1.13
_OPTIMIZER = {  # bytes a trained parameter, by the states that it keeps
    "adamw_torch": 8,
    "adamw_torch_fused": 8,
    "paged_adamw_32bit": 8,
    "adamw_bnb_8bit": 2,
    "paged_adamw_8bit": 2,
    "lion_8bit": 1,
    "adafactor": 0,  # of a matrix, its rows and columns alone
    "sgd": 0,
}


def training_memory(
    shape: Shape,
    quantize: QuantizeSettings,
    lora: LoraSettings,
    train: TrainSettings,
    tokens: int,
    labels: int,
    compiled: bool,
    graphed: bool = False,
) -> float:
    """Bytes at the peak of training, between a step's forward and backward pass.

    Args:
        tokens: tokens of a forward pass, padding included.
        labels: tokens of it that logits are computed for.
        compiled: whether `train.torch_compile` finds a GPU.
        graphed: whether `train.cuda_graph` does.
    """
    beside = _GRAPHED * adapter_parameters(shape, lora) if graphed else 0
    resident = _resident(shape, quantize, lora, train)
    return _SLACK * (resident + beside) + graph_memory(shape, quantize, lora, train, tokens, labels, compiled)


def graph_memory(
    shape: Shape,
    quantize: QuantizeSettings,
    lora: LoraSettings,
    train: TrainSettings,
    tokens: int,
    labels: int,
    compiled: bool,
) -> float:
    """Bytes that come and go with a training step: what the forward pass keeps for the backward, and logits.

    A CUDA graph keeps them for its replays, so that an evaluation cannot have them. The arguments are those
    of `training_memory`.
    """
    whole = _kept_of_a_layer(shape, quantize, lora, compiled)
    layers = adapted_layers(shape, lora)
    inputs = _per_value(quantize) * shape.hidden
    activations = tokens * (whole + layers * inputs if train.gradient_checkpointing else layers * whole)
    return _SLACK * (activations + labels * shape.vocabulary * _LOGITS + _expanded(shape, quantize))


def evaluation_memory(
    shape: Shape,
    quantize: QuantizeSettings,
    lora: LoraSettings,
    train: TrainSettings,
    tokens: int,
    labels: int,
    held: float = 0,
) -> float:
    """Bytes at the peak of an evaluation within training. No gradient follows: one layer at a time is kept.

    Args:
        tokens: tokens of a batch, padding included.
        labels: tokens of it that logits are computed for.
        held: bytes that a CUDA graph keeps meanwhile.
    """
    activations = tokens * _kept_of_a_layer(shape, quantize, lora, compiled=False)
    logits = labels * shape.vocabulary * _EVALUATED_LOGITS
    return (
        _SLACK * (_resident(shape, quantize, lora, train) + _expanded(shape, quantize) + activations + logits)
        + held
    )


def generation_memory(
    shape: Shape, quantize: QuantizeSettings, generate: GenerateSettings, prompt: int
) -> float:
    """Bytes at the peak of prediction, where the longest prompt has `prompt` tokens."""
    per_value = _per_value(quantize)
    rows, length = generate.batch_size, prompt + generate.max_new_tokens
    cache = shape.layers * per_value * shape.cached * rows * length
    if generate.cuda_graph:
        cache *= 2  # batches of half the rows, of a quarter, and so on, have caches of their own
    widest = max((gives for _, _, gives in shape.products), default=shape.hidden)
    per_token = per_value * (3 * widest + 4 * shape.hidden + 2 * shape.cached)  # of a layer
    prefill = rows * prompt * per_token
    scored = 0.0
    if generate.rerank is not None:
        answer = max(generate.max_new_tokens, prompt if generate.channel_weight else 0)
        logits = (answer + 1) * shape.vocabulary * _EVALUATED_LOGITS
        scored = scored_at_once(generate) * (length * per_token + logits)
    dequantized = generate.dequantize and quantize.bits == 4
    weights = shape.parameters * 2 if dequantized else _weights(shape, quantize, fused=False)
    return _GENERATION_SLACK * (weights + cache + max(prefill, scored) + _expanded(shape, quantize))


def _per_value(quantize: QuantizeSettings) -> int:
    return 4 if quantize.bits == 32 else 2


def _resident(shape: Shape, quantize: QuantizeSettings, lora: LoraSettings, train: TrainSettings) -> float:
    """What stays throughout a training: weights, adapter, gradients and the optimizer's states."""
    adapter = adapter_parameters(shape, lora) * (4 + 4 + _OPTIMIZER[train.optim])
    return _weights(shape, quantize, train.fuse_lora) + adapter


def _kept_of_a_layer(shape: Shape, quantize: QuantizeSettings, lora: LoraSettings, compiled: bool) -> float:
    """Bytes that a layer keeps of a token for the backward pass."""
    width = sum(gives for _, _, gives in shape.products[:-1])  # what the last one gives is only added to
    attention = next((given for name, given, _ in shape.products if name.startswith("o")), shape.hidden)
    kept = _per_value(quantize) * (shape.hidden + width + attention) + 4 * shape.heads
    if not compiled:
        kept *= _EAGER
    if lora.lora_dropout:
        kept += _DROPOUT * sum(given for _, given, _ in adapted_products(shape, lora))
    return kept


def _weights(shape: Shape, quantize: QuantizeSettings, fused: bool) -> float:
    if quantize.bits != 4:
        return shape.parameters * (4 if quantize.bits == 32 else 2)
    # NF4: half a byte, and for each 64 a scale in fp32, or in 8 bits with one in fp32 for each 256 of those.
    scales = (1 / 64 + 4 / (64 * 256)) if quantize.double_quant else 4 / 64
    unpacked = 4 / 64 if fused else 0
    return shape.quantized * (0.5 + scales + unpacked) + (shape.parameters - shape.quantized) * 2


def _expanded(shape: Shape, quantize: QuantizeSettings) -> float:
    """The largest 4-bit weight while it is multiplied: in bf16, and in fp32 on the way there."""
    largest = max((given * gives for _, given, gives in shape.products), default=0)
    return 6 * largest if quantize.bits == 4 else 0
