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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path

import torch
from apart import add_arguments, peer_versions, run
from clock import peak_gpu_memory
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LogitsProcessor
from viggo_rows import encoder_for, profile_for, read_split

from viggo_pipe.base_model import BaseModel
from viggo_pipe.constrained_decoding import Constraint, GrammarProcessor
from viggo_pipe.dequantization import dequantize
from viggo_pipe.generation import Generation
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.model_loading import load_model
from viggo_pipe.params import Params

_RUNS = 3
_RANK, _ALPHA = 16, 32
_LONGEST = 512  # tokens of a prompt and its answer
_FEW = 8  # sentences that a method which takes minutes is tried with


class Forced(LogitsProcessor):
    """Gives each row's next reference token the highest score, and then asks the row's grammar, if there is one."""

    def __init__(self, references: Sequence[Sequence[int]], grammar: GrammarProcessor | None):
        longest = max(map(len, references))
        padded = [[*tokens, *repeat(tokens[-1], longest - len(tokens))] for tokens in references]
        self._references, self._grammar, self._step = torch.tensor(padded), grammar, 0
        self._rows: list[int] | None = None  # those that the next tokens were copied for

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return self.masked(scores, range(len(self._references)), input_ids[:, -1].tolist() if self._step else None)

    def masked(self, scores: torch.Tensor, rows: Sequence[int], tokens: Sequence[int] | None) -> torch.Tensor:
        """As `GrammarProcessor.masked`."""
        if list(rows) != self._rows:  # a copy at each step would wait for the GPU
            self._rows = list(rows)
            self._forced = self._references[self._rows].to(scores.device)
        column = min(self._step, self._references.shape[1] - 1)
        self._step += 1
        scores = scores.scatter(1, self._forced[:, column : column + 1], 1e4)
        return scores if self._grammar is None else self._grammar.masked(scores, rows, tokens)

    def finish(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """As `GrammarProcessor.finish`."""
        return [list(row) for row in rows] if self._grammar is None else self._grammar.finish(rows)


class ForcedConstraint:
    """Stands for a `Constraint`, and forces references."""

    def __init__(self, references: dict[str, list[int]], constraint: Constraint | None):
        self._references, self._constraint = references, constraint

    def processors(self, batches: Sequence[Sequence[str]], repeatable: bool = False) -> Iterator[Forced]:
        """As `Constraint.processors`, for one generation."""
        grammars = repeat(None) if self._constraint is None else self._constraint.processors(batches)
        forced = zip(batches, grammars)  # noqa: B905 (repeat has no end)
        return (Forced([self._references[sentence] for sentence in sentences], grammar) for sentences, grammar in forced)


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
    tokenizer = encoder.tokenizer
    model = load(params, base)
    if expand:
        dequantize(model)
    rows = read_split(params, "test")[: options.sentences]
    some = rows[:: max(1, len(rows) // _FEW)][:_FEW]
    if few:
        rows = some
    references = {}
    for row in rows:
        example = encoder.example(row["sentence"], row["meaning_representation"])
        references[row["sentence"]] = example["input_ids"][example["answer_start"] :]
    lexicon = Lexicon(row["meaning_representation"] for row in read_split(params, "train"))
    constraint = ForcedConstraint(references, Constraint(tokenizer, lexicon) if grammar else None)
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
