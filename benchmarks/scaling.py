"""How the stages fetch, tokenize and score grow with the dataset: ViGGO, and ten and a hundred times as many rows.

python benchmarks/scaling.py VIGGO [--times 1 10 100] [--out benchmarks/results/scaling.json]

VIGGO is the folder of ViGGO's CSV files. Larger datasets repeat its rows under other ids. Each stage is a process of its own, as
in the pipeline; what it took is what it wrote to runs/STAGE.json. Scored are the training references, as predictions of
themselves.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from viggo_pipe.jsonl import read_jsonl, write_jsonl
from viggo_pipe.machine import describe_machine

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "tokenize", "score")
_SCRIPTS = {"fetch": ["fetch_dataset.py"], "tokenize": ["tokenize_dataset.py"], "score": ["score.py", "tuned"]}


def repeat(viggo: Path, folder: Path, times: int) -> None:
    """Write ViGGO's files with each row `times` times, under ids of its own."""
    folder.mkdir()
    for split in ("train", "validation", "test"):
        with open(viggo / f"{split}.csv", encoding="utf-8-sig", newline="") as source:
            rows = list(csv.DictReader(source))
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as target:
            writer = csv.DictWriter(target, rows[0].keys())
            writer.writeheader()
            for number in range(times):
                writer.writerows(row | {"gem_id": f"{row['gem_id']}-{number}"} for row in rows)


def prepare(folder: Path, data: Path) -> None:
    """Make a workspace of the pipeline with the profile smollm2-135m, without variants, on the CSV files in `data`."""
    folder.mkdir()
    shutil.copytree(ROOT / "stages", folder / "stages")
    params = yaml.safe_load((ROOT / "profiles/smollm2-135m.yaml").read_text(encoding="utf-8"))
    sha256 = dict.fromkeys(params["dataset"]["sha256"])
    params["dataset"] |= {"source": "local", "path": str(data), "sha256": sha256}
    params["augment"]["variants"] = 1
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def measure(viggo: Path, folder: Path, times: int) -> dict[str, dict[str, float]]:
    """Seconds and peak memory of each stage on `times` ViGGO."""
    repeat(viggo, folder / "data", times)
    workspace = folder / "workspace"
    prepare(workspace, folder / "data")
    figures = {}
    for stage in STAGES:
        if stage == "score":
            rows = read_jsonl(workspace / "data/raw/train.jsonl")
            answers = (
                {
                    "id": row["id"],
                    "sentence": row["sentence"],
                    "reference": row["meaning_representation"],
                    "prediction": row["meaning_representation"],
                }
                for row in rows
            )
            (workspace / "predictions").mkdir()
            write_jsonl(workspace / "predictions/tuned.jsonl", answers)
        script, *arguments = _SCRIPTS[stage]
        subprocess.run([sys.executable, f"stages/{script}", *arguments], cwd=workspace, check=True, stdout=subprocess.DEVNULL)
        run = json.loads((workspace / "runs" / f"{'-'.join([stage, *arguments])}.json").read_text(encoding="utf-8"))
        figures[stage] = {name: run[name] for name in ("seconds", "peak_memory_mib")}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("viggo", type=Path, help="the folder of ViGGO's CSV files")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/scaling.json")
    options = parser.parse_args()
    sizes = {}
    for times in options.times:
        with tempfile.TemporaryDirectory() as folder:
            sizes[str(times)] = measure(options.viggo, Path(folder), times)
        print(times, sizes[str(times)], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": describe_machine(), "times": sizes}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
