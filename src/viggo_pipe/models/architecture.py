"""Which causal language models are computed here as they are meant, by configuration and class alone.

So `viggo check` knows it before a weight is downloaded. tests/models/test_architectures.py tries every causal
architecture of transformers.
"""

import inspect
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.models.base_model import BaseCheckpoint

# Model types that transformers builds as causal language models, and that are none for batches of text:
# encoders and encoder-decoders, whose answers would see themselves; models whose tokens count padding.
_NO_CAUSAL_LM = {
    *("bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "blenderbot", "blenderbot-small"),
    *(
        "blt",
        "camembert",
        "cpmant",
        "data2vec-text",
        "deepseek_v4",
        "doge",
        "electra",
        "ernie",
        "git",
        "marian",
    ),
    *("mbart", "megatron-bert", "moshi", "musicgen", "musicgen_melody", "mvp", "pegasus", "plbart"),
    *("prophetnet", "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "rwkv"),
    *("trocr", "whisper", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xlstm", "xmod"),
}
_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}  # kinds of layers


def empty_model(base: BaseCheckpoint) -> PreTrainedModel:
    """The model of `base` without weights, on the device "meta".

    Raises:
        InputError: there is no config.json, transformers does not know the architecture, or `check_causal_lm`
            refuses it.
    """
    try:
        config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, OSError, LookupError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        raise InputError(
            f"{base.name}: cannot make out the model's shape in {base.folder} ({one_line(error)[:200]})"
        ) from error
    check_causal_lm(model, base)
    return model


def check_causal_lm(model: PreTrainedModel, base: BaseCheckpoint) -> None:
    """Check that `model` is a causal language model, and nothing beside.

    Raises:
        InputError: it is not.
    """
    config = model.config
    name = type(model).__name__
    if config.get_text_config(decoder=True) is not config:
        raise InputError(
            f"{base.name}: {name} has more parts than its language model: save that part alone with "
            "save_pretrained, beside its tokenizer, and name that folder in model.path"
        )
    has_layers = decoder_layers(model) is not None and model.get_output_embeddings() is not None
    if config.model_type in _NO_CAUSAL_LM or not has_layers:
        raise InputError(f"{base.name}: {name} is no causal language model that can be trained here")


def without_router_loss(model: PreTrainedModel) -> None:
    """Have `model` leave out the loss by which its experts' routers were balanced, if it is set to give one.

    It is of a whole batch, padding included, and `generate` fails at it.
    """
    if hasattr(model.config, "output_router_logits"):
        model.config.output_router_logits = False


def decoder_layers(model: PreTrainedModel) -> torch.nn.ModuleList | None:
    """The list of decoder layers, whatever the architecture calls it. None: there is no such list."""
    layers = getattr(model.config, "num_hidden_layers", None)
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    return next((modules for modules in lists if len(modules) == layers), None)


def base_of(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """transformers' model within peft's, or `model` itself."""
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    return base


def most_positions(model: PreTrainedModel) -> int | None:
    """The most tokens of a row that `model` was made for. None: any number."""
    for name in ("max_position_embeddings", "max_seq_len"):  # by transformers, and by MPT
        most = getattr(model.config, name, None)
        if isinstance(most, int):
            return most
    return None


def check_embeddings(model: PreTrainedModel, highest_id: int) -> None:
    """Check that `model` has an embedding for each token up to `highest_id`.

    Raises:
        InputError: it has not.
    """
    embedding: Any = model.get_input_embeddings()
    if highest_id >= len(embedding.weight):
        raise InputError(
            f"the tokenizer has a token {highest_id:,}, but the model has embeddings of "
            f"{len(embedding.weight):,} tokens: take the model's own tokenizer, or save the model after "
            "resize_token_embeddings"
        )


def isolation_obstacle(model: PreTrainedModel, longest: int) -> str | None:
    """Why a mask and positions of ours do not decide alone what a token of a row sees. None: they do.

    Then rows can share a pack, and a prompt's padding can be hidden, with the model's own forward pass.

    Args:
        longest: tokens of the longest row.
    """
    config = model.config
    if "position_ids" not in inspect.signature(model.forward).parameters or getattr(config, "alibi", False):
        return "it counts positions itself"
    # transformers' documented mark of models whose attention is an `AttentionInterface`, which takes any mask
    if not model._supports_attention_backend:
        return "its attention makes a mask of its own"
    kinds = getattr(config, "layer_types", None)
    others = sorted(set(kinds or ()) - _ATTENTION)
    if others:
        return f"it has layers of the kind {others[0]}"
    if any(isinstance(module, torch.nn.Conv1d) for module in model.modules()):
        return "it has convolutions over tokens"
    windows = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
    for kind, name in windows.items():
        window = min((width for width in _values(config, name) if width), default=longest)
        if window < longest and (not kinds or kind in kinds):
            return f"its tokens see {window} tokens at most, fewer than the longest row has"
    return None


def _values(config: PreTrainedConfig, name: str) -> list[Any]:
    """What `config` has under `name`: one value, or those of layers that differ in it."""
    try:
        return [getattr(config, name, None)]
    except RuntimeError:  # transformers' word for the latter
        content = config.to_dict()
        return [content.get(name), *(layer.get(name) for layer in content["per_layer_config"].values())]
