"""Stages predict@base and predict@tuned: what the model answers to each sentence of a split.

python stages/predict.py tuned
"""

import argparse
import sys
import time

from viggo_pipe.inference import Parser
from viggo_pipe.jsonl import ROW_FIELDS, read_jsonl, write_jsonl
from viggo_pipe.params import load_params
from viggo_pipe.progress import Progress
from viggo_pipe.resume import Journal, input_digest, resumable
from viggo_pipe.stage import run_stage

ADAPTER = "models/adapter"


def main(which: str) -> dict[str, float]:
    params = load_params("model", "quantize", "prompt", "generate")
    source, adapter = f"data/raw/{params.generate.split}.jsonl", ADAPTER if which == "tuned" else None
    rows = list(read_jsonl(source, ROW_FIELDS))
    digest = input_digest(
        [params.model, params.quantize, params.prompt, params.generate], [source] if adapter is None else [source, adapter]
    )
    with resumable(f"predict-{which}", digest) as scratch, Journal(scratch / "answers.jsonl") as journal:
        parser = Parser(params.model, params.quantize, params.prompt, adapter)
        generated, started = 0, time.perf_counter()
        with Progress(f"predict {which}", len(rows), params.runtime.progress, done=len(journal.entries)) as progress:

            def on_batch(answers: dict[int, str], tokens: int) -> None:
                nonlocal generated
                generated += tokens
                journal.add(answers)
                progress.advance(len(answers))

            answers = parser.parse([row["sentence"] for row in rows], params.generate, journal.entries, on_batch)
        seconds = time.perf_counter() - started
        write_jsonl(
            f"predictions/{which}.jsonl",
            (
                {"id": row["id"], "sentence": row["sentence"], "reference": row["meaning_representation"], "prediction": answer}
                for row, answer in zip(rows, answers, strict=True)
            ),
        )
    print(
        f"predictions/{which}.jsonl: {len(rows):,} sentences of {params.generate.split}, {generated:,} tokens in {seconds:.0f} s"
    )
    return {"generation_seconds": round(seconds, 2), "tokens_per_second": round(generated / seconds, 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predict generate.split with the base or the tuned model.")
    parser.add_argument("which", choices=("base", "tuned"))
    which = parser.parse_args().which
    sys.exit(run_stage(f"predict-{which}", lambda: main(which)))
