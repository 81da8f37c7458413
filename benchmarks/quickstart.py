"""Time the quickstart on this machine: each stage, `dvc repro`, and `dvc repro` with nothing to do.

python benchmarks/quickstart.py [--out benchmarks/results/quickstart.json]

It runs in a fresh clone of the last commit. `viggo check` downloads the base model beforehand. A stage's own
figures leave out its imports; those of `dvc repro` include them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from viggo_pipe.core.machine import describe_machine

ROOT = Path(__file__).parents[1]
_RUNS = 5


def timed(*command: str, folder: Path) -> float:
    """Seconds of a command, with this environment's programs and the clone's library."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src"), "DVC_NO_ANALYTICS": "1"}
    started = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return round(time.perf_counter() - started, 2)


def spread(*command: str, folder: Path) -> dict[str, float]:
    """The median, lowest and highest seconds of several runs."""
    seconds = [timed(*command, folder=folder) for _ in range(_RUNS)]
    return {"seconds": statistics.median(seconds), "lowest": min(seconds), "highest": max(seconds)}


def measure(folder: Path) -> dict[str, dict]:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    timed("viggo", "check", folder=folder)
    whole = timed("dvc", "repro", folder=folder)
    stages = {}
    for path in sorted((folder / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime):
        run = json.loads(path.read_text(encoding="utf-8"))
        stages[path.stem] = {
            name: run[name] for name in ("seconds", "peak_memory_mib", "tokens_per_second") if name in run
        }
    return {
        "stages": stages,
        "commands": {
            "dvc repro": {"seconds": whole},
            "dvc repro, nothing to do": spread("dvc", "repro", folder=folder),
            "viggo --help": spread("viggo", "--help", folder=folder),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/quickstart.json")
    options = parser.parse_args()
    load = {"before": round(os.getloadavg()[1], 1)}  # over five minutes: other work makes figures larger
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder) / "clone")
    load["after"] = round(os.getloadavg()[1], 1)
    print(json.dumps(figures, indent=2))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"machine": describe_machine(), "load": load}
    options.out.write_text(json.dumps(machine | figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
