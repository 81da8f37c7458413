"""Stage train: a LoRA adapter on the quantized base model (QLoRA), in `train.num_processes` processes.

python stages/train_lora.py
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
import viggo_pipe.core.entry_point  # noqa: F401, I001 (before the imports that take seconds)

from viggo_pipe.models.adapter import save_adapter
from viggo_pipe.models.base_model import find_base_model
from viggo_pipe.training.determinism import deterministic_algorithms
from viggo_pipe.training.distributed import (
    broadcast_from_main,
    local_main_process_first,
    is_main_process,
    processes_to_start,
    shared_scratch,
    process_group,
)
from viggo_pipe.training.divergence import keeping_last_good
from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.metrics_io import write_metrics, write_plot
from viggo_pipe.training.launch import run_in_processes
from viggo_pipe.training.lora import add_adapter, parameter_counts
from viggo_pipe.models.loading import load_model
from viggo_pipe.models.oom import TRAINING, explain_out_of_memory
from viggo_pipe.config.load import load_params
from viggo_pipe.core.resume_digest import input_digest
from viggo_pipe.training.fsdp import make_shardable
from viggo_pipe.training.soup import train_soup
from viggo_pipe.models.tokenizer import load_tokenizer
from viggo_pipe.tokens.storage import open_tokens, unpack_tokens

PACKAGES = ("core", "models", "tokens", "training")  # as dvc.yaml has them
TOKENS = ("data/tokenized/train.parquet", "data/tokenized/validation.parquet")


def main() -> dict[str, str | float]:
    params = load_params("model", "quantize", "lora", "train")
    sections = [params.model, params.quantize, params.lora, params.train]
    deterministic = deterministic_algorithms(params.train.full_determinism)
    with deterministic, process_group(params.train), ExitStack() as stack:
        with local_main_process_first():
            base = find_base_model(params.model)
        digest = input_digest(PACKAGES, sections, [__file__, *TOKENS], [f"{base.name} {base.revision}"])
        scratch = stack.enter_context(shared_scratch("train", digest))
        unpacked = broadcast_from_main(lambda: [unpack_tokens(path, scratch) for path in TOKENS])
        train_tokens, validation_tokens = map(open_tokens, unpacked)
        model = load_model(base, params.quantize)
        if params.train.fsdp:
            make_shardable(model)
        model = add_adapter(model, params.lora, params.train)
        counts = parameter_counts(model)
        print(
            f"parameters: {counts['trainable_parameters']:,} trainable of {counts['total_parameters']:,} "
            f"({counts['trainable_percent']} %)"
        )

        pad_token_id: Any = load_tokenizer(base).pad_token_id
        prompt = train_tokens.prompt
        with keeping_last_good(base, prompt), explain_out_of_memory(TRAINING):
            result = train_soup(
                model, train_tokens, validation_tokens, pad_token_id, params.train, params.runtime, scratch
            )
        measured: dict[str, str | float] = {"base": base.name, "training_seconds": result.seconds}
        if is_main_process():
            save_adapter(result.model, base, prompt, "models/adapter")
            measured["sha256"] = sha256_of(*sorted(Path("models/adapter").rglob("*.safetensors")))
            write_plot("plots/loss.csv", result.losses)
            write_metrics(
                "metrics/model.json", counts if params.train.fsdp else parameter_counts(result.model)
            )
    print(
        f"models/adapter: trained on {result.tokens:,} tokens in {result.seconds:.0f} s, "
        f"validation loss {result.validation_loss:.4f}"
    )
    if result.tokens:  # none, if it was resumed behind its last step
        measured["tokens_per_second"] = round(result.tokens / result.seconds, 1)
    return measured


if __name__ == "__main__":
    sys.exit(run_in_processes("train", main, lambda: processes_to_start(load_params("train").train)))
