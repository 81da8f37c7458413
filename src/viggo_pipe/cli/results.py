"""`viggo results`: a Markdown table of recorded runs and published figures."""

import argparse
import statistics
from collections.abc import Sequence
from typing import Any

from viggo_pipe.cli.recorded_runs import PUBLISHED, RESULTS, explaining_damage, read_recorded
from viggo_pipe.core.metrics_io import read_metrics

_ROBUSTNESS = ("unseen_names", "typing_slips")  # in the table; a record holds all of them
_COLUMNS = (
    *("system", "parameters", "split", "exact match", "slot F1", "invented names", "typing slips"),
    *("training", "runs", "source"),
)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    print("\n".join(results_table()))


def results_table() -> list[str]:
    """The lines of a Markdown table: recorded settings, means over their seeds, then published figures.

    Raises:
        InputError: there is no folder results/, or a file in it is not a recorded setting.
    """
    names = sorted(path.stem for path in RESULTS.glob("*.json") if path.stem != PUBLISHED)
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *map(_recorded_row, names), *_published_rows()]
    return [f"| {' | '.join(row)} |" for row in rows]


def mean_and_spread(shares: Sequence[float]) -> str:
    """In percent: the mean, and the standard deviation where there are several."""
    mean = _percent(statistics.fmean(shares))
    return mean if len(shares) == 1 else f"{mean} ± {_percent(statistics.stdev(shares))}"


def _recorded_row(name: str) -> tuple[str, ...]:
    recorded = read_recorded(name)
    with explaining_damage(RESULTS / f"{name}.json"):
        runs = list(recorded["runs"].values())
        tuned = [run["metrics"]["tuned"] for run in runs]
        machines = sorted({_hardware(run["stages"]["train"]["machine"]) for run in runs})
        return (
            f"**{name}**",
            f"{_base_parameters(runs[0]['metrics']['model']) / 1e6:.0f}M",
            recorded["params"]["generate"]["split"],
            mean_and_spread([metrics["exact_match"] for metrics in tuned]),
            mean_and_spread([metrics["slot_f1"] for metrics in tuned]),
            *(
                mean_and_spread([run["metrics"]["robustness"][name]["exact_match"] for run in runs])
                for name in _ROBUSTNESS
            ),
            f"{statistics.fmean(run['stages']['train']['seconds'] for run in runs):.0f} s",
            str(len(runs)),
            f"results/{name}.json ({', '.join(machines)})",
        )


def _published_rows() -> list[tuple[str, ...]]:
    """Other authors' figures, the best first. They have no robustness, cost or number of runs."""
    path = RESULTS / f"{PUBLISHED}.json"
    rows = []
    with explaining_damage(path):
        for figure in sorted(read_metrics(path)["figures"], key=lambda figure: -figure["exact_match"]):
            system = (figure["system"], figure["parameters"], figure["split"])
            rows.append((*system, _percent(figure["exact_match"]), "", "", "", "", "", figure["source"]))
    return rows


def _base_parameters(counts: dict[str, int]) -> int:
    """Those of the base model, as published figures have them."""
    return counts["total_parameters"] - counts["trainable_parameters"]


def _hardware(machine: dict[str, Any]) -> str:
    gpus = machine["gpus"]
    if not gpus:
        return f"{machine['processor']}, {machine['cores']} cores"
    return f"{len(gpus)} x {gpus[0]}" if len(gpus) > 1 else gpus[0]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
