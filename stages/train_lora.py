"""Stage train: a LoRA adapter on the quantized base model (QLoRA), in `train.processes` processes.

python stages/train_lora.py
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import sys

from viggo_pipe.adapter import save_adapter
from viggo_pipe.base_model import find_base_model
from viggo_pipe.determinism import deterministic_algorithms
from viggo_pipe.distributed import first_on_each_machine, is_first, processes_to_start, resumable_together, together
from viggo_pipe.divergence import keeping_last_good
from viggo_pipe.dvc_files import write_metrics, write_plot
from viggo_pipe.launcher import run_in_processes
from viggo_pipe.lora import add_adapter, parameter_counts
from viggo_pipe.model_loading import load_model
from viggo_pipe.out_of_memory import TRAINING, naming_settings
from viggo_pipe.params import load_params
from viggo_pipe.resume import input_digest
from viggo_pipe.sharding import make_shardable
from viggo_pipe.soup import train_soup
from viggo_pipe.tokenizer import load_tokenizer
from viggo_pipe.tokens import read_tokens

TOKENS = ("data/tokenized/train.parquet", "data/tokenized/validation.parquet")


def main() -> dict[str, float]:
    params = load_params("model", "quantize", "lora", "train")
    digest = input_digest([params.model, params.quantize, params.lora, params.train], TOKENS)
    deterministic = deterministic_algorithms(params.train.deterministic)
    with deterministic, together(params.train), resumable_together("train", digest) as scratch:
        train_tokens, validation_tokens = map(read_tokens, TOKENS)
        with first_on_each_machine():
            base = find_base_model(params.model)
        model = load_model(base, params.quantize)
        if params.train.sharding is not None:
            make_shardable(model)
        model = add_adapter(model, params.lora, params.train)
        counts = parameter_counts(model)
        print("parameters: {trainable_parameters:,} trainable of {total_parameters:,} ({trainable_percent} %)".format(**counts))

        pad_token_id = load_tokenizer(base).pad_token_id
        prompt = train_tokens.prompt
        with keeping_last_good(base, prompt), naming_settings(TRAINING):
            result = train_soup(model, train_tokens, validation_tokens, pad_token_id, params.train, params.runtime, scratch)
        if is_first():
            save_adapter(result.model, base, prompt, "models/adapter")
            write_plot("plots/loss.csv", result.losses)
            write_metrics("metrics/model.json", counts if params.train.sharding else parameter_counts(result.model))
    print(
        f"models/adapter: trained on {result.tokens:,} tokens in {result.seconds:.0f} s, "
        f"validation loss {result.validation_loss:.4f}"
    )
    return {"base": base.name, "training_seconds": result.seconds, "tokens_per_second": round(result.tokens / result.seconds, 1)}


if __name__ == "__main__":
    sys.exit(run_in_processes("train", main, lambda: processes_to_start(load_params("train").train)))
