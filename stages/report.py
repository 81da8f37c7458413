"""Stage report: one HTML page and a model card.

python stages/report.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # this checkout's library, whatever is installed
import viggo_pipe.core.entry_point  # noqa: F401 (before the imports that take seconds)
from viggo_pipe.config.load import load_params
from viggo_pipe.core.files import atomic_write
from viggo_pipe.core.stage import run_stage
from viggo_pipe.report.data import read_report_data
from viggo_pipe.report.model_card import render_model_card
from viggo_pipe.report.render import render_page


def main() -> None:
    params = load_params("dataset", "model", "generate")
    data = read_report_data(params.dataset, params.model, params.generate)
    card = render_model_card(data, params.dataset, params.model)
    for path, content in {"reports/index.html": render_page(data), "models/README.md": card}.items():
        with atomic_write(path) as file:
            file.write(content)
    wrong = sum(not example["tuned"]["exact"] for example in data.examples)
    print(
        f"reports/index.html: {len(data.examples):,} examples, {wrong:,} still wrong ({data.provenance.name})"
    )


if __name__ == "__main__":
    sys.exit(run_stage("report", main))
