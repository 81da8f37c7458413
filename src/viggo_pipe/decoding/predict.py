"""Predicts rows, and resumes where a killed run stopped."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from viggo_pipe.config.load import Params
from viggo_pipe.core.journal import Journal
from viggo_pipe.core.progress import Progress
from viggo_pipe.core.resume import resumable
from viggo_pipe.core.resume_digest import input_digest
from viggo_pipe.decoding.parser import TRAINING_ROWS, Parser
from viggo_pipe.models.base_model import find_base_model

# As in dvc.yaml, but for `augment`: the sentences that it writes are part of the digest.
PACKAGES = ("core", "meaning", "models", "tokens", "decoding")


@contextmanager
def predicted_rows(
    stage: str, rows: Sequence[dict[str, str]], adapter: str | None, params: Params
) -> Iterator[tuple[list[dict[str, str]], dict[str, float]]]:
    """Yield the predictions of `rows`, in their order, and figures for runs/.

    Predictions are rows of predictions/*.jsonl. The figures are of generation alone, once the model is
    loaded. Answers of a killed run of `stage` are reused. They are deleted when the block ends without error.

    Args:
        adapter: the folder of the trained adapter. None: the base model alone.
        params: sections `model`, `quantize`, `prompt` and `generate`.

    Raises:
        InputError: as `Parser`, or another process runs this stage.
    """
    sentences = [row["sentence"] for row in rows]
    base = find_base_model(params.model)
    digest = input_digest(
        PACKAGES,
        [params.model, params.quantize, params.prompt, params.generate],
        [TRAINING_ROWS] if adapter is None else [TRAINING_ROWS, adapter],
        [f"{base.name} {base.revision}", *sentences],
    )
    with resumable(stage, digest) as scratch, Journal(scratch / "answers.jsonl") as journal:
        parser = Parser(params, sentences, adapter, journal.entries, base)
        generated, started = 0, time.perf_counter()
        with Progress(
            stage.replace("-", " "), len(rows), params.runtime.progress, done=len(journal.entries)
        ) as progress:

            def on_batch(answers: dict[int, str], tokens: int) -> None:
                nonlocal generated
                generated += tokens
                journal.add(answers)
                progress.advance(len(answers))

            answers = parser.parse(on_batch)
        seconds = time.perf_counter() - started
        print(f"{len(rows):,} sentences, {generated:,} tokens in {seconds:.0f} s")
        yield (
            [_prediction(row, answer) for row, answer in zip(rows, answers, strict=True)],
            {"generation_seconds": round(seconds, 2), "tokens_per_second": round(generated / seconds, 1)},
        )


def _prediction(row: dict[str, str], answer: str) -> dict[str, str]:
    return {
        "id": row["id"],
        "sentence": row["sentence"],
        "reference": row["meaning_representation"],
        "prediction": answer,
    }
