"""Coordinates of the report's charts; the page's template draws them as SVG, in the reader's own colours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 30


class LossPoint(TypedDict):
    """A row of plots/loss.csv: losses in nats a token; None where a step has none."""

    step: float
    train_loss: float | None
    validation_loss: float | None


class LengthBin(TypedDict):
    """A row of plots/token_lengths.csv: a bin of a split's rows, named by its last length in tokens."""

    split: str
    tokens: int
    rows: int


@dataclass(frozen=True)
class Tick:
    """A label on an axis and its place along it, in the drawing's units."""

    at: float
    label: str


@dataclass(frozen=True)
class LineChart:
    """Lines in a drawing of WIDTH x HEIGHT units: name and points (x, y) each."""

    lines: dict[str, list[tuple[float, float]]]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclass(frozen=True)
class Histogram:
    """Bars (x, y, width, height, label) in a drawing of WIDTH x HEIGHT units; `marked` is on its x axis."""

    bars: list[tuple[float, float, float, float, str]]
    marked: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def loss_chart(losses: Sequence[LossPoint]) -> LineChart | None:
    """Training and validation loss over optimizer steps, on a logarithmic scale.

    None where no loss is positive.
    """
    series = {
        "training": [(row["step"], row["train_loss"]) for row in losses if row["train_loss"]],
        "validation": [(row["step"], row["validation_loss"]) for row in losses if row["validation_loss"]],
    }
    values = [value for points in series.values() for _, value in points]
    if not values:
        return None
    last = max(row["step"] for row in losses)
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    low, high = powers[0], max(powers[-1], powers[0] + 1)

    def place(step: float, value: float) -> tuple[float, float]:
        return _across(step / last), _up((math.log10(value) - low) / (high - low))

    return LineChart(
        lines={label: [place(*point) for point in points] for label, points in series.items() if points},
        x_ticks=[Tick(_across(step / last), f"{step:,}") for step in _round_steps(last)],
        y_ticks=[
            Tick(_up((power - low) / (high - low)), f"{10.0**power:g}") for power in range(low, high + 1)
        ],
    )


def length_histogram(lengths: Sequence[LengthBin], split: str, max_length: int) -> Histogram:
    """How many rows of `split` are how many tokens long, with max_length marked."""
    bins = [(row["tokens"], row["rows"]) for row in lengths if row["split"] == split]
    step = bins[0][0]
    most = max(rows for _, rows in bins) or 1
    last = max(*(tokens for tokens, _ in bins), max_length)
    width = _across(step / last) - _across(0)
    bars = []
    for tokens, rows in bins:
        x, y = _across((tokens - step) / last), _up(rows / most)
        bars.append((x, y, width, _up(0) - y, f"{tokens - step + 1} to {tokens} tokens: {rows:,} rows"))
    return Histogram(
        bars=bars,
        marked=_across(max_length / last),
        x_ticks=[Tick(_across(tokens / last), f"{tokens:,}") for tokens in _round_steps(last)],
        y_ticks=[Tick(_up(rows / most), f"{rows:,}") for rows in _round_steps(most)],
    )


def _across(share: float) -> float:
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _up(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _round_steps(end: float) -> list[int]:
    """0 and four or five round numbers up to `end`."""
    power = 10 ** math.floor(math.log10(max(end, 1) / 4)) if end >= 4 else 1
    step = next(power * factor for factor in (1, 2, 5, 10) if end / (power * factor) <= 6)
    return list(range(0, int(end) + 1, int(step)))
