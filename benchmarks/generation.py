"""Generation of ViGGO's 1,083 test answers at Mistral-7B's size: this pipeline beside the usual ways.

python benchmarks/generation.py MODEL VIGGO [--methods ours ...] [--out benchmarks/results/generation.json]

MODEL is a folder that benchmarks/mistral_shape.py wrote, VIGGO the folder of ViGGO's CSV files. The weights are random, so each
row is made to generate its reference: the reference's next token gets the highest score, before the grammar has its say. Models
are loaded and an untrained adapter of rank 16 is put on them beforehand; tokenizing, grammars and the recording of graphs count.
Figures are medians of some runs after a first one, of one after a few sentences for the slow ways, and of a few sentences alone
for the slowest.
"""

from unsloth_peer import load_with_unsloth  # noqa: I001 (before the libraries that it patches)
import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from apart import add_arguments, peer_versions, run
from clock import peak_gpu_memory
from forced import ForcedConstraint, reference_tokens
from peft import LoraConfig, PeftModel, get_peft_model
from viggo_rows import encoder_for, profile_for, read_split

from viggo_pipe.base_model import BaseModel
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.dequantization import dequantize
from viggo_pipe.generation import Generation
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.model_loading import load_model
from viggo_pipe.params import Params

_RUNS = 3
_RANK, _ALPHA = 16, 32
_LONGEST = 512  # tokens of a prompt and its answer
_FEW = 8  # sentences that a method which takes minutes is tried with


def load_adapted(params: Params, base: BaseModel) -> PeftModel:
    """The model with an untrained adapter."""
    lora = LoraConfig(r=_RANK, lora_alpha=_ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(load_model(base, params.quantize), lora)


def load_unsloth(params: Params, base: BaseModel) -> PeftModel:
    """The same, by Unsloth and made ready for its own generation."""
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
    """Generate the test split, or a `few` of its sentences, `runs` times with `changes` to the profile's section generate."""
    params, base = profile_for(options.model, options.viggo)
    settings = params.generate.model_copy(update={"dequantize": expand, **changes})
    encoder = encoder_for(params, base)
    model = load(params, base)
    if expand:
        dequantize(model)
    rows = read_split(params, "test")[: options.sentences]
    some = rows[:: max(1, len(rows) // _FEW)][:_FEW]
    if few:
        rows = some
    lexicon = Lexicon(row["meaning_representation"] for row in read_split(params, "train"))
    constraint = ForcedConstraint(reference_tokens(encoder, rows), Constraint(encoder.tokenizer, lexicon) if grammar else None)
    generated: list[int] = []

    def answer(asked: list[dict[str, str]]) -> tuple[float, int]:
        """The seconds that answers to `asked` take, and how many give their reference."""
        generated.clear()
        started = time.perf_counter()
        generation = Generation(encoder, [row["sentence"] for row in asked], settings, constraint)
        answers = generation.run(model, lambda answers, tokens: generated.append(tokens))
        seconds = time.perf_counter() - started
        return seconds, sum(answer == row["meaning_representation"] for answer, row in zip(answers, asked, strict=True))

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
    parser.add_argument("--sentences", type=int, help="the first of the test split that are asked; without it all")
    run(parser.parse_args(), METHODS, __file__)
