"""Has a model answer rows, and goes on where a killed run stopped."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from viggo_pipe.inference import TRAINING_ROWS, Parser
from viggo_pipe.params import Params
from viggo_pipe.progress import Progress
from viggo_pipe.resume import Journal, input_digest, resumable


@contextmanager
def answered(
    stage: str, rows: Sequence[dict[str, str]], adapter: str | None, params: Params
) -> Iterator[tuple[list[dict[str, str]], dict[str, float]]]:
    """Yield the predictions of `rows`, in their order, as predictions/*.jsonl hold them, and figures for runs/.

    The figures are of generation alone, from when the model is loaded on.

    What a killed run of `stage` had answered is not asked again; it is forgotten when the block ends without error.

    Args:
        adapter: the folder of the trained adapter; None: the base model alone.
        params: sections `model`, `quantize`, `prompt` and `generate`.

    Raises:
        InputError: as `Parser`, or another process is at this stage.
    """
    digest = input_digest(
        [params.model, params.quantize, params.prompt, params.generate],
        [TRAINING_ROWS] if adapter is None else [TRAINING_ROWS, adapter],
        (row["sentence"] for row in rows),
    )
    with resumable(stage, digest) as scratch, Journal(scratch / "answers.jsonl") as journal:
        parser = Parser(params, [row["sentence"] for row in rows], adapter, journal.entries)
        generated, started = 0, time.perf_counter()
        with Progress(stage.replace("-", " "), len(rows), params.runtime.progress, done=len(journal.entries)) as progress:

            def on_batch(answers: dict[int, str], tokens: int) -> None:
                nonlocal generated
                generated += tokens
                journal.add(answers)
                progress.advance(len(answers))

            answers = parser.parse(on_batch)
        seconds = time.perf_counter() - started
        predictions = [
            {"id": row["id"], "sentence": row["sentence"], "reference": row["meaning_representation"], "prediction": answer}
            for row, answer in zip(rows, answers, strict=True)
        ]
        print(f"{len(rows):,} sentences, {generated:,} tokens in {seconds:.0f} s")
        yield predictions, {"generation_seconds": round(seconds, 2), "tokens_per_second": round(generated / seconds, 1)}
