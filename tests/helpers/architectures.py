"""Tiny models with random weights of the architectures that transformers builds as causal language models."""

import inspect

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

logging.disable_progress_bar()  # of saving, which is none of what a test looks at

VOCABULARY = 97
WINDOW = 16  # tokens, where the name of a model ends with "short windows"
_SIZES = {
    "vocab_size": VOCABULARY,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "word_embed_proj_dim", "lru_width"), 64),
    **dict.fromkeys(("intermediate_size", "ffn_dim"), 96),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim"), 64),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 256),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "num_key_value_heads", "linear_num_key_heads"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_groups", "first_k_dense_replace", "mamba_n_groups"), 1),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "head_dim", "mamba_d_head"), 16),
    **dict.fromkeys(("linear_num_value_heads", "mamba_n_heads", "conv_kernel"), 4),
    **dict.fromkeys(("rotary_dim", "state_size", "time_step_rank", "mamba_d_state"), 8),
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "q_lora_rank": 32,
    "kv_lora_rank": 16,
    "mamba_d_ssm": 64,
    "mamba_expand": 1,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCABULARY,
    "num_kv_shared_layers": 0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_MIXED = ["sliding_attention", "full_attention"] * 2
# What a configuration needs beside those sizes: to be valid, or to have each kind of its layers.
_OTHERS: dict[str, dict] = {
    "bamba": {"attn_layer_indices": [1, 3], "mamba_n_heads": 4, "mamba_d_head": "auto"},
    "dots1": {"n_shared_experts": 1},
    "gemma3_text": {"layer_types": _MIXED},
    "gpt_neo": {"attention_types": [[["global"], 4]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2, "mamba_n_heads": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "gemma4_text": {"layer_types": _MIXED, "num_key_value_heads": 4},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "mamba2": {"num_heads": 8, "head_dim": 16},
}
# Variants of architectures that are computed in another way.
VARIANTS: dict[str, tuple[str, dict]] = {
    "cohere2, short windows": ("cohere2", {"sliding_window": WINDOW}),
    "falcon, alibi": ("falcon", {"alibi": True}),
    "falcon, new": ("falcon", {"new_decoder_architecture": True}),
    "gemma2, no windows": ("gemma2", {"layer_types": ["full_attention"] * 4, "final_logit_softcapping": 5.0}),
    "gemma3_text, short windows": ("gemma3_text", {"sliding_window": WINDOW}),
    "gpt_neo, short windows": (
        "gpt_neo",
        {"attention_types": [[["global", "local"], 2]], "window_size": WINDOW},
    ),
    "gpt_oss, short windows": ("gpt_oss", {"sliding_window": WINDOW}),
    "granite, scaled": ("granite", {"logits_scaling": 8.0, "embedding_multiplier": 12.0}),
    "granitemoe, routers": ("granitemoe", {"output_router_logits": True, "router_aux_loss_coef": 0.1}),
    "llama4_text, short chunks": ("llama4_text", {"attention_chunk_size": WINDOW}),
    "mistral, short windows": ("mistral", {"sliding_window": WINDOW}),
    "mixtral, routers": ("mixtral", {"output_router_logits": True, "router_aux_loss_coef": 0.1}),
    "phi3, short windows": ("phi3", {"sliding_window": WINDOW}),
}


def tiny_config(name: str, **given: object) -> PreTrainedConfig:
    """The small configuration of a model type, or of one of `VARIANTS`; with other values that are given."""
    model_type, changes = VARIANTS.get(name, (name, {}))
    kind = type(AutoConfig.for_model(model_type).get_text_config(decoder=True))
    known = {*inspect.signature(kind).parameters, *kind.attribute_map}
    sizes = {key: size for key, size in _SIZES.items() if key in known}
    if "qk_rope_head_dim" in sizes:
        sizes.pop("head_dim", None)
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    return kind(**(sizes | _OTHERS.get(model_type, {}) | changes | given))


def tiny_causal_lm(name: str, **given: object) -> PreTrainedModel:
    """A tiny model in fp32 with the weights that its seed gives, none of them constant."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(tiny_config(name, **given), dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape)
    return model.eval()
