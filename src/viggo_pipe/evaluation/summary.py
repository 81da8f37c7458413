"""The metrics that come first wherever scores are shown: terminal, report and model card."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from viggo_pipe.core.errors import InputError

_SHOWN_METRICS = (
    ("exact_match", "Exact match, strict"),
    ("exact_match_unordered", "Exact match, any order"),
    ("slot_f1", "Slot F1"),
    ("dialogue_act_accuracy", "Dialogue act"),
    ("attribute_set_accuracy", "Set of attributes"),
    ("well_formed", "Well-formed"),
    ("in_ontology", "In the ontology"),
    ("hallucinated_values", "Hallucinated values"),
)


@dataclass(frozen=True)
class SummaryRow:
    """A metric of both models: shares between 0 and 1, and 95% intervals where there are any."""

    key: str
    label: str
    base: float
    tuned: float
    base_interval: tuple[float, float] | None
    tuned_interval: tuple[float, float] | None


def summary_rows(base: Mapping[str, float], tuned: Mapping[str, float]) -> list[SummaryRow]:
    """The first metrics of the two models' metrics, as metrics/base.json and metrics/tuned.json hold them.

    Raises:
        InputError: a metric is missing.
    """
    for key, _ in (("examples", ""), *_SHOWN_METRICS):
        for name, metrics in (("base", base), ("tuned", tuned)):
            if not isinstance(metrics.get(key), int | float):
                raise InputError(f"metrics/{name}.json has no number {key!r}; run `dvc repro -f score`")
    return [
        SummaryRow(key, label, base[key], tuned[key], _interval(base, key), _interval(tuned, key))
        for key, label in _SHOWN_METRICS
    ]


@dataclass(frozen=True)
class RobustnessRow:
    """The tuned model's strict exact match on a robustness set, between 0 and 1, and its 95% interval."""

    label: str
    examples: int
    exact_match: float
    interval: tuple[float, float]


def robustness_rows(sets: Mapping[str, Mapping[str, float]]) -> list[RobustnessRow]:
    """The rows of metrics/robustness.json.

    Raises:
        InputError: a set lacks a number.
    """
    keys = ("examples", "exact_match", "exact_match_low", "exact_match_high")
    rows = []
    for name, metrics in sets.items():
        if not isinstance(metrics, Mapping) or not all(
            isinstance(metrics.get(key), int | float) for key in keys
        ):
            raise InputError(
                f"metrics/robustness.json: {name} lacks one of {', '.join(keys)}; run `dvc repro -f score`"
            )
        examples, exact, low, high = (metrics[key] for key in keys)
        rows.append(RobustnessRow(name.replace("_", " ").capitalize(), int(examples), exact, (low, high)))
    return rows


def summary_table(rows: list[SummaryRow]) -> Iterator[str]:
    """Yield the lines of a Markdown table, aligned, so that it reads well on a terminal too."""
    cells = [("", "base", "tuned", "95% interval")]
    for row in rows:
        cells.append((row.label, f"{row.base:.3f}", f"{row.tuned:.3f}", _shown(row.tuned_interval)))
    yield from _aligned(cells)


def robustness_table(rows: list[RobustnessRow]) -> Iterator[str]:
    """Yield the lines of a Markdown table, aligned."""
    cells = [("Robustness set", "examples", "exact match", "95% interval")]
    cells += [(row.label, str(row.examples), f"{row.exact_match:.3f}", _shown(row.interval)) for row in rows]
    yield from _aligned(cells)


def _shown(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def _aligned(cells: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, line in enumerate(cells):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def _interval(metrics: Mapping[str, float], key: str) -> tuple[float, float] | None:
    low, high = (metrics.get(f"{key}_{end}") for end in ("low", "high"))
    return None if low is None or high is None else (low, high)
