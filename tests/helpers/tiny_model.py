"""A tiny Mistral with random weights and a tokenizer of its own: every step of the pipeline, in seconds."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast, set_seed

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.data.sample import generate_sample


def write_tiny_mistral(folder: Path) -> None:
    """Write a 2-layer Mistral in bf16 and a byte-level BPE tokenizer whose pad token is EOS, as Mistral's
    users set it.
    """
    rows = generate_sample(SampleSettings(train=60, validation=1, test=1, seed=0))["train"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=alphabet
    )
    core.train_from_iterator((f"{row['sentence']}\n{row['meaning_representation']}" for row in rows), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.save_pretrained(folder)
    set_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
    )
    MistralForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
