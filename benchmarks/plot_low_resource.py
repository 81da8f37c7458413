"""Draws benchmarks/results/low_resource.json as an SVG; needs matplotlib (pip install -e ".[plots]").

python benchmarks/plot_low_resource.py [RESULTS] [IMAGE]
"""

import argparse
import json
import statistics
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

# The same figures give the same bytes.
matplotlib.rcParams["svg.hashsalt"] = "viggo-pipe"


def draw(results: Path, image: Path) -> None:
    """Exact match over the share of training rows: the mean over seeds, and each run with its 95% interval."""
    content = json.loads(results.read_text(encoding="utf-8"))
    runs = content["runs"]
    shares = sorted({run["share"] for run in runs})
    means = [statistics.fmean(100 * run["exact_match"] for run in runs if run["share"] == share) for share in shares]
    rows = {run["share"]: run["rows"] for run in runs}
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(shares, means, color="tab:blue")
    axes.errorbar(
        [run["share"] for run in runs],
        [100 * run["exact_match"] for run in runs],
        yerr=[
            [100 * (run["exact_match"] - run["exact_match_low"]) for run in runs],
            [100 * (run["exact_match_high"] - run["exact_match"]) for run in runs],
        ],
        fmt="o",
        capsize=3,
        color="tab:blue",
    )
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{100 * share:g}%\n{rows[share]:,}" for share in shares])
    axes.minorticks_off()
    axes.set_xlabel("training rows")
    axes.set_ylabel(f"exact match on {content['params']['generate']['split']}, %")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    image.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(image, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("benchmarks/results/low_resource.json"))
    parser.add_argument("image", type=Path, nargs="?", default=Path("docs/low_resource.svg"))
    options = parser.parse_args()
    draw(options.results, options.image)
