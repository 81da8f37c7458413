"""Stage report: one HTML page and a model card.

python stages/report.py
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import sys

from viggo_pipe.files import atomic_write
from viggo_pipe.params import load_params
from viggo_pipe.report.data import read_report_data
from viggo_pipe.report.model_card import render_model_card
from viggo_pipe.report.page import render_page
from viggo_pipe.stage import run_stage


def main() -> None:
    params = load_params("dataset", "model", "generate")
    data = read_report_data(params.dataset, params.model, params.generate)
    card = render_model_card(data, params.dataset, params.model)
    for path, content in {"reports/index.html": render_page(data), "models/README.md": card}.items():
        with atomic_write(path) as file:
            file.write(content)
    wrong = sum(not example["tuned"]["exact"] for example in data.examples)
    print(f"reports/index.html: {len(data.examples):,} examples, {wrong:,} of them still wrong ({data.provenance.name})")


if __name__ == "__main__":
    sys.exit(run_stage("report", main))
