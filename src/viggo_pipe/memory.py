"""How much memory training and prediction take, reckoned from the base model's shape before a weight is loaded.

What is kept for the backward pass follows Korthikanti et al. 2022 (arXiv:2205.05198), by the tensors that this pipeline's
kernels keep; QLoRA's weights follow arXiv:2305.14314. The constants below were fitted to measurements of Mistral-7B's shape on
one H100 (tests/test_memory.py has them).
"""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
import re
from dataclasses import dataclass

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from viggo_pipe.alternatives import scored_at_once
from viggo_pipe.base_model import BaseModel
from viggo_pipe.errors import InputError, one_line
from viggo_pipe.settings.generate import GenerateSettings
from viggo_pipe.settings.lora import LoraSettings
from viggo_pipe.settings.quantize import QuantizeSettings
from viggo_pipe.settings.train import TrainSettings

# Of what compiled layers keep that compute norms and activations again: uncompiled ones keep twice as much.
_EAGER = 2.0
_DROPOUT = 4  # bytes a value that LoRA's dropout is given: its product, its mask, and their casts
# Bytes a trained parameter, outside a CUDA graph's memory, which nothing else may use: the sums of its gradients, and what the
# optimizer's step takes; fitted to one measurement (tests/test_memory.py has it).
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


@dataclass(frozen=True)
class Shape:
    """What memory depends on of a causal language model.

    Attributes:
        layers: how many decoder layers there are.
        products: each of a layer's matrix products: the module's name, features in, features out.
        hidden: features between layers.
        heads: attention heads.
        cached: features of a token's keys and values in a layer.
        vocabulary: logits a token.
        parameters: all of them.
        quantized: those of the layers' matrix products, which 4 bits are for.
    """

    layers: int
    products: tuple[tuple[str, int, int], ...]
    hidden: int
    heads: int
    cached: int
    vocabulary: int
    parameters: int
    quantized: int


def shape_of(base: BaseModel) -> Shape:
    """The shape of `base`, out of its config.json; no weight is read.

    Raises:
        InputError: there is no such file, or transformers does not know the architecture.
    """
    try:
        config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        layers = model.get_decoder().layers
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{base.name}: cannot make out the model's shape in {base.folder} ({one_line(error)[:200]})") from error
    products = tuple(
        (name.rsplit(".", 1)[-1], module.in_features, module.out_features)
        for name, module in layers[0].named_modules()
        if isinstance(module, torch.nn.Linear)
    )
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return Shape(
        layers=len(layers),
        products=products,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        cached=2 * size * key_heads,
        vocabulary=config.vocab_size,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        quantized=len(layers) * sum(given * gives for _, given, gives in products),
    )


def adapter_parameters(shape: Shape, lora: LoraSettings) -> int:
    """The parameters of an adapter with the settings `lora`."""
    layers = shape.layers if lora.upper_layers is None else min(lora.upper_layers, shape.layers)
    return layers * sum(lora.r * (given + gives) for _, given, gives in _adapted(shape, lora))


def training_memory(
    shape: Shape,
    quantize: QuantizeSettings,
    lora: LoraSettings,
    train: TrainSettings,
    tokens: int,
    learnt: int,
    compiled: bool,
    graphed: bool = False,
) -> float:
    """Bytes at the peak of training, between a step's forward and backward pass.

    Args:
        tokens: tokens of a forward pass, padding included.
        learnt: tokens of it that logits are computed for.
        compiled: whether `train.compile` finds a GPU.
        graphed: whether `train.cuda_graph` does.
    """
    beside = _GRAPHED * adapter_parameters(shape, lora) if graphed else 0
    resident = _resident(shape, quantize, lora, train)
    return _SLACK * (resident + beside) + graph_memory(shape, quantize, lora, train, tokens, learnt, compiled)


def graph_memory(
    shape: Shape,
    quantize: QuantizeSettings,
    lora: LoraSettings,
    train: TrainSettings,
    tokens: int,
    learnt: int,
    compiled: bool,
) -> float:
    """Bytes that come and go with a training step: what a forward pass keeps for the backward pass, and its logits.

    A CUDA graph keeps them for its replays, so that an evaluation cannot have them.

    Args: as those of `training_memory`.
    """
    whole = _kept_of_a_layer(shape, quantize, lora, compiled)
    layers = shape.layers if lora.upper_layers is None else min(lora.upper_layers, shape.layers)
    inputs = _per_value(quantize) * shape.hidden
    activations = tokens * (whole + layers * inputs if train.gradient_checkpointing else layers * whole)
    return _SLACK * (activations + learnt * shape.vocabulary * _LOGITS + _expanded(shape, quantize))


def evaluation_memory(
    shape: Shape,
    quantize: QuantizeSettings,
    lora: LoraSettings,
    train: TrainSettings,
    tokens: int,
    learnt: int,
    held: float = 0,
) -> float:
    """Bytes at the peak of an evaluation amid training: of one layer at a time, and of the logits, for no gradient follows.

    Args:
        tokens: tokens of a batch, padding included.
        learnt: tokens of it that logits are computed for.
        held: bytes that a CUDA graph keeps meanwhile.
    """
    activations = tokens * _kept_of_a_layer(shape, quantize, lora, compiled=False)
    logits = learnt * shape.vocabulary * _EVALUATED_LOGITS
    return _SLACK * (_resident(shape, quantize, lora, train) + _expanded(shape, quantize) + activations + logits) + held


def generation_memory(shape: Shape, quantize: QuantizeSettings, generate: GenerateSettings, prompt: int) -> float:
    """Bytes at the peak of prediction, where the longest prompt has `prompt` tokens."""
    per_value = _per_value(quantize)
    rows, length = generate.batch_size, prompt + generate.max_new_tokens
    cache = shape.layers * per_value * shape.cached * rows * length
    if generate.cuda_graph:
        cache *= 2  # batches of half the rows, of a quarter, and so on, have caches of their own
    widest = max(gives for _, _, gives in shape.products)
    per_token = per_value * (3 * widest + 4 * shape.hidden + 2 * shape.cached)  # of a layer
    prefill = rows * prompt * per_token
    scored = 0
    if generate.alternatives is not None:
        answer = max(generate.max_new_tokens, prompt if generate.reverse_weight else 0)
        logits = (answer + 1) * shape.vocabulary * _EVALUATED_LOGITS
        scored = scored_at_once(generate) * (length * per_token + logits)
    expanded = generate.dequantize and quantize.bits == 4
    weights = shape.parameters * 2 if expanded else _weights(shape, quantize, folded=False)
    return _GENERATION_SLACK * (weights + cache + max(prefill, scored) + _expanded(shape, quantize))


def _per_value(quantize: QuantizeSettings) -> int:
    return 4 if quantize.bits == 32 else 2


def _resident(shape: Shape, quantize: QuantizeSettings, lora: LoraSettings, train: TrainSettings) -> float:
    """What stays throughout a training: weights, and the adapter with its gradients and the optimizer's states."""
    adapter = adapter_parameters(shape, lora) * (4 + 4 + _OPTIMIZER[train.optimizer])
    return _weights(shape, quantize, train.fold_adapter) + adapter


def _kept_of_a_layer(shape: Shape, quantize: QuantizeSettings, lora: LoraSettings, compiled: bool) -> float:
    """Bytes that a layer keeps of a token for the backward pass."""
    width = sum(gives for _, _, gives in shape.products[:-1])  # what the last one gives is only added to
    attention = next((given for name, given, _ in shape.products if name.startswith("o")), shape.hidden)
    kept = _per_value(quantize) * (shape.hidden + width + attention) + 4 * shape.heads
    if not compiled:
        kept *= _EAGER
    if lora.dropout:
        kept += _DROPOUT * sum(given for _, given, _ in _adapted(shape, lora))
    return kept


def _adapted(shape: Shape, lora: LoraSettings) -> list[tuple[str, int, int]]:
    targets = lora.target_modules
    if isinstance(targets, str):
        if targets == "all-linear":
            return list(shape.products)
        return [product for product in shape.products if re.search(product[0], targets)]
    return [product for product in shape.products if product[0] in targets]


def _weights(shape: Shape, quantize: QuantizeSettings, folded: bool) -> float:
    if quantize.bits != 4:
        return shape.parameters * (4 if quantize.bits == 32 else 2)
    # NF4: half a byte, and for each 64 a scale in fp32, or in 8 bits with one in fp32 for each 256 of those.
    scales = (1 / 64 + 4 / (64 * 256)) if quantize.double_quant else 4 / 64
    unpacked = 4 / 64 if folded else 0
    return shape.quantized * (0.5 + scales + unpacked) + (shape.parameters - shape.quantized) * 2


def _expanded(shape: Shape, quantize: QuantizeSettings) -> float:
    """The largest 4-bit weight while it is multiplied: in bf16, and in fp32 on the way there."""
    return 6 * max(given * gives for _, given, gives in shape.products) if quantize.bits == 4 else 0
