"""What the grammar costs a small model's generation: ViGGO's test answers with and without it, in turns.

python benchmarks/grammar.py VIGGO [--params profiles/smollm2-135m.yaml] [--rounds 12] [--out benchmarks/results/grammar.json]

VIGGO is the folder of ViGGO's CSV files. The profile's base model, in bf16 and without an adapter, answers greedily in the
profile's batches, and is made to give the references (`forced`). In each round every way has its turn. The first batch of a run
records its CUDA graphs and is shown apart; `seconds` are those of the whole batches that follow it, which for ViGGO's test split
in batches of 256 are three, and `slower` how many percent longer they take than without the grammar in the same round. Figures
are medians of the rounds, after a run of each way that does not count.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from apart import Results, alone
from forced import ForcedConstraint, reference_tokens
from viggo_rows import encoder_for, params_for, read_split

from viggo_pipe.base_model import find_base_model
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.errors import InputError
from viggo_pipe.generation import Generation
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.model_loading import load_model

_WITHOUT, _MEANWHILE = "without the grammar", "grammars compiled meanwhile"
WAYS = (_WITHOUT, "grammars compiled before", _MEANWHILE)
_LOADING = 2.0  # seconds before a run, in which a stage would load its model


class Run(NamedTuple):
    """The seconds of a run's first batch and of the whole ones that follow it, and how many answers are their references."""

    first_batch: float
    others: float
    reproduced: int


def runner(options: argparse.Namespace) -> Callable[[str], Run]:
    """What has the model answer in one of `WAYS`."""
    params = params_for(options.params, options.viggo)
    base = find_base_model(params.model)
    encoder = encoder_for(params, base)
    model = load_model(base, params.quantize)
    settings = params.generate.model_copy(update={"alternatives": None, "reverse_weight": 0.0})
    rows = read_split(params, "test")[: options.sentences]
    sentences, references = [row["sentence"] for row in rows], reference_tokens(encoder, rows)
    constraint = Constraint(encoder.tokenizer, Lexicon(row["meaning_representation"] for row in read_split(params, "train")))
    whole = len(sentences) // settings.batch_size
    if whole < 2:
        raise InputError(f"{len(sentences)} sentences are less than two batches of {settings.batch_size}; ask more of them")

    def run(way: str) -> Run:
        forced = ForcedConstraint(references, None if way == _WITHOUT else constraint)
        if way == _MEANWHILE:  # no less a pause for the GPU
            time.sleep(_LOADING)
        generation = Generation(encoder, sentences, settings, forced)  # from here on grammars are compiled
        if way != _MEANWHILE:
            time.sleep(_LOADING)
        times = [time.perf_counter()]
        answers = generation.run(model, lambda answers, tokens: times.append(time.perf_counter()))
        reproduced = sum(answer == row["meaning_representation"] for answer, row in zip(answers, rows, strict=True))
        return Run(times[1] - times[0], times[whole] - times[1], reproduced)

    return run


def figures(runs: Sequence[Run], without: Sequence[Run]) -> dict[str, float | int]:
    """Those of a way's `runs`, beside the runs of the same rounds without the grammar."""
    seconds = [run.others for run in runs]
    found = {
        "references_reproduced": min(run.reproduced for run in runs),
        "rounds": len(runs),
        "first_batch": round(statistics.median(run.first_batch for run in runs), 2),
        "seconds": round(statistics.median(seconds), 2),
        "lowest": round(min(seconds), 2),
        "highest": round(max(seconds), 2),
    }
    if runs is without:
        return found
    slower = [100 * (run.others / other.others - 1) for run, other in zip(runs, without, strict=True)]
    by_name = {"slower": statistics.median(slower), "least_slower": min(slower), "most_slower": max(slower)}
    return found | {name: round(percent, 1) for name, percent in by_name.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("viggo", type=Path, help="the folder of ViGGO's CSV files")
    parser.add_argument("--params", type=Path, default=Path(__file__).parents[1] / "profiles/smollm2-135m.yaml")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--sentences", type=int, help="the first of the test split that are asked; without it all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/grammar.json"))
    options = parser.parse_args()
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    with alone():
        run = runner(options)
        for way in WAYS:
            run(way)
        for number in range(options.rounds):
            first = number % len(WAYS)  # so that none always comes behind the same one
            for way in WAYS[first:] + WAYS[:first]:
                runs[way].append(run(way))
            taken = ", ".join(f"{runs[way][-1].others:.2f} s {way}" for way in WAYS)
            print(f"round {number + 1} of {options.rounds}: {taken}", flush=True)
    results = Results(options.out)
    for way in WAYS:
        results.add(way, figures(runs[way], runs[_WITHOUT]))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"grammar: {error}") from error
