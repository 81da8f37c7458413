"""Reading predictions/*.jsonl: what the stage predict wrote, one example a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from viggo_pipe.core.jsonl import read_jsonl


class Prediction(NamedTuple):
    """A sentence, its gold meaning representation, and the text that the model generated for it."""

    id: str
    sentence: str
    reference: str
    prediction: str


def read_predictions(path: str | Path) -> Iterator[Prediction]:
    """Yield the predictions in `path` in file order, one at a time.

    Raises:
        InputError: the file cannot be read, holds no line, or a line lacks one of the four texts.
    """
    for row in read_jsonl(path, Prediction._fields):
        yield Prediction(**{field: row[field] for field in Prediction._fields})
