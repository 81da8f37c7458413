"""Write a model of Mistral-7B-v0.1's shape with random weights, in NF4: speed and memory without its licence.

python benchmarks/mistral_shape.py FOLDER TOKENIZER

TOKENIZER is the folder of Mistral's tokenizer. FOLDER takes 4.5 GB. It needs a GPU with 40 GB.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, MistralConfig

CONFIG = MistralConfig(
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=32768,
    rope_theta=10000.0,
    sliding_window=4096,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
    dtype="bfloat16",
)
NF4 = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)


def write_shape(folder: Path, tokenizer: Path, config: MistralConfig = CONFIG) -> None:
    """Write weights, configuration and the tokenizer in the folder `tokenizer` to `folder`."""
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    wide = folder / "bf16"
    model.save_pretrained(wide)
    del model
    quantized = AutoModelForCausalLM.from_pretrained(wide, dtype=torch.bfloat16, quantization_config=NF4)
    quantized.save_pretrained(folder)
    for file in wide.iterdir():
        file.unlink()
    wide.rmdir()
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokenizer", type=Path)
    options = parser.parse_args()
    write_shape(options.folder, options.tokenizer)
