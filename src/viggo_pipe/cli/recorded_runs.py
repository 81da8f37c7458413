"""Recorded runs on real ViGGO: results/NAME.json holds a setting and its runs, one a seed.

A run is what stood in the workspace: metrics, what the stages cost (runs/), and which test examples came out
right. `viggo record` writes it, `viggo results` and `viggo compare` read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.metrics_io import read_metrics
from viggo_pipe.data.provenance import data_provenance
from viggo_pipe.evaluation.predictions import read_predictions
from viggo_pipe.evaluation.scoring import exact_match

RESULTS = Path("results")
PUBLISHED = "published"  # results/published.json holds other authors' figures


def read_recorded(name: str) -> dict[str, Any]:
    """The `params` and `runs` of results/NAME.json.

    Raises:
        InputError: there is no such file, or it is not a recorded setting.
    """
    path = RESULTS / f"{name}.json"
    recorded = read_metrics(path)
    with explaining_damage(path):
        if not recorded["runs"]:
            raise ValueError("no run")
        for seed, run in recorded["runs"].items():
            _ = int(seed), run["metrics"]["tuned"]["exact_match"], len(run["right"])
            _ = run["stages"]["train"]["machine"]["gpus"]
        _ = recorded["params"]["generate"]["split"]
    return recorded


@contextmanager
def explaining_damage(path: Path) -> Iterator[None]:
    """Turn what a file of another form raises into an InputError that names it."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged ({error!r}); take it out of git again, or delete it") from error


def check_is_viggo(settings: DatasetSettings, complaint: str) -> None:
    """Raise an InputError that begins with `complaint` where the data are not ViGGO's published files."""
    provenance = data_provenance(settings)
    if not provenance.is_viggo:
        raise InputError(f"{complaint} {provenance.note}")


def correct_answers(path: str) -> list[bool]:
    """Which predictions in `path` match their reference exactly, in the file's order."""
    return [exact_match(row.reference, row.prediction) for row in read_predictions(path)]
