"""Time the generation of ViGGO's 1,083 test answers at Mistral-7B's size: this pipeline and others.

python benchmarks/generation.py MODEL VIGGO [--methods ours ...] [--out benchmarks/results/generation.json]

MODEL is a folder that benchmarks/mistral_shape.py wrote, VIGGO the folder of ViGGO's CSV files. The weights
are random, so each row is forced to give its reference: the next reference token gets the highest score
before the grammar is applied. Loading the model and adding an untrained adapter of rank 16 is not timed.
Tokenizing, compiling grammars and capturing CUDA graphs is. Ours are medians of three runs after a first one.
Slow methods run once, after a few sentences; the slowest predict a few sentences only.
"""

from unsloth_peer import load_with_unsloth  # noqa: I001 (before the libraries that it patches)
import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from isolated_run import add_arguments, peer_versions, run
from step_timer import peak_gpu_memory
from teacher_forcing import ForcedConstraint, reference_tokens
from peft import LoraConfig, PeftModel, get_peft_model
from viggo_rows import changed, encoder_for, profile_for, read_split

from viggo_pipe.config.load import Params
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.generate import BatchGenerator
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.models.dequantize import dequantize
from viggo_pipe.models.loading import load_model

_RUNS = 3
_RANK, _ALPHA = 16, 32
_LONGEST = 512  # tokens of a prompt with its answer
_FEW = 8  # sentences for a method that takes minutes


def load_adapted(params: Params, base: BaseCheckpoint) -> PeftModel:
    """The model with an untrained adapter."""
    lora = LoraConfig(r=_RANK, lora_alpha=_ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(load_model(base, params.quantize), lora)


def load_unsloth(params: Params, base: BaseCheckpoint) -> PeftModel:
    """The same with Unsloth, prepared for its own generation."""
    from unsloth import FastLanguageModel

    return FastLanguageModel.for_inference(load_with_unsloth(base, _LONGEST, _RANK, _ALPHA))


def generate(
    options: argparse.Namespace,
    grammar: bool,
    expand: bool = False,
    runs: int = _RUNS,
    few: bool = False,
    load: Callable = load_adapted,
    **changes,
) -> dict[str, float | int]:
    """Generate the test split, or a `few` of its sentences, `runs` times.

    `changes` are to the profile's section generate.
    """
    params, base = profile_for(options.model, options.viggo)
    settings = changed(params.generate, dequantize=expand, **changes)
    encoder = encoder_for(params, base)
    model = load(params, base)
    if expand:
        dequantize(model)
    rows = read_split(params, "test")[: options.sentences]
    some = rows[:: max(1, len(rows) // _FEW)][:_FEW]
    if few:
        rows = some
    lexicon = KnownNames(row["meaning_representation"] for row in read_split(params, "train"))
    constraint = ForcedConstraint(
        reference_tokens(encoder, rows), Constraint(encoder.tokenizer, lexicon) if grammar else None
    )
    generated: list[int] = []

    def answer(rows: list[dict[str, str]]) -> tuple[float, int]:
        """The seconds for the answers to `rows`, and how many are the reference."""
        generated.clear()
        started = time.perf_counter()
        generation = BatchGenerator(encoder, [row["sentence"] for row in rows], settings, constraint)
        answers = generation.run(model, lambda answers, tokens: generated.append(tokens))
        seconds = time.perf_counter() - started
        return seconds, sum(
            answer == row["meaning_representation"] for answer, row in zip(answers, rows, strict=True)
        )

    first_run, _ = answer(rows if runs > 1 else some)
    measured = [answer(rows) for _ in range(runs)]
    seconds = [run for run, _ in measured]
    return {
        "sentences": len(rows),
        "references_reproduced": measured[-1][1],
        "tokens": sum(generated),
        "seconds": round(statistics.median(seconds), 2),
        "lowest": round(min(seconds), 2),
        "highest": round(max(seconds), 2),
        "runs": runs,
        "first_run": round(first_run, 2),
        "sentences_per_second": round(len(rows) / statistics.median(seconds), 2),
        "peak_gpu_memory_gb": peak_gpu_memory(),
        **peer_versions(),
    }


_PLAIN = {"grammar": False, "cuda_graph": False, "runs": 1}
_OURS = {"cuda_graph": True, "batch_size": 256}
METHODS = {
    "ours": partial(generate, **_OURS, grammar=True, expand=True),
    "ours, weights kept in NF4": partial(generate, **_OURS, grammar=True),
    "ours, without the grammar": partial(generate, **_OURS, grammar=False, expand=True),
    "seed's recipe": partial(generate, **_PLAIN, few=True, batch_size=1),
    "generate, NF4, batch 64": partial(generate, **_PLAIN, batch_size=64),
    "generate, NF4, batch 256": partial(generate, **_PLAIN, batch_size=256),
    "Unsloth, batch 256": partial(generate, **_PLAIN, batch_size=256, load=load_unsloth),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, METHODS, Path("benchmarks/results/generation.json"))
    parser.add_argument("--sentences", type=int, help="predict only the first ones of the test split")
    run(parser.parse_args(), METHODS, __file__)
