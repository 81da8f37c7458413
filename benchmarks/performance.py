"""Writes docs/performance.md from benchmarks/results/*.json: BENCHMARK.json, and BENCHMARK-*.json of other machines.

python benchmarks/performance.py    (or: make performance)
"""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/performance.md"
RESULTS = ("quickstart", "scaling", "training", "generation", "grammar", "end_to_end", "multi_gpu")
PARAMETERS = 7_241_732_096  # Mistral-7B's
# Two a parameter forward, two for the gradient of the activations; the weights themselves have none.
FLOP_PER_TOKEN = 4
TFLOPS = 790  # of an 8192 x 8192 x 8192 product in bf16 on random data, on one H100
SHOWN_KERNELS = 12  # of a profile, those that take longest


def render() -> str:
    """The document; what has not been measured says so."""
    folder = ROOT / "benchmarks/results"
    results = {}
    for name in RESULTS:
        paths = [*folder.glob(f"{name}.json"), *sorted(folder.glob(f"{name}-*.json"))]
        results[name] = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    floor = round(TFLOPS * 1e12 / (FLOP_PER_TOKEN * PARAMETERS), -3)
    return environment.get_template("performance.md.jinja").render(
        results,
        flop_per_token=FLOP_PER_TOKEN,
        parameters=PARAMETERS,
        tflops=TFLOPS,
        floor=int(floor),
        shown_kernels=SHOWN_KERNELS,
    )


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)}: written")
