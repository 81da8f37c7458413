"""Write docs/performance.md from benchmarks/results: BENCHMARK.json and, of other machines, BENCHMARK-*.json.

python benchmarks/performance.py    (or: make performance)
"""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/performance.md"
RESULTS = ("quickstart", "scaling", "training", "generation", "end_to_end", "multi_gpu")
PARAMETERS = 7_241_732_096  # Mistral-7B's
# A parameter takes two forward and two for the gradient of the activations; frozen weights have no gradient.
FLOP_PER_TOKEN = 4
TFLOPS = 790  # of an 8192 x 8192 x 8192 product in bf16 on random data, on one H100
SHOWN_KERNELS = 12  # the slowest of a profile


def render() -> str:
    """The document. It says what has not been measured."""
    folder = ROOT / "benchmarks/results"
    results = {}
    for name in RESULTS:
        paths = [*folder.glob(f"{name}.json"), *sorted(folder.glob(f"{name}-*.json"))]
        results[name] = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
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
