"""Runs each method of a benchmark in a process of its own, and writes their figures with the machine's description."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from viggo_pipe.machine import describe_machine

Method = Callable[[Path, Path], dict]


def add_arguments(parser: argparse.ArgumentParser, methods: Mapping[str, Method], out: Path) -> None:
    """The arguments that `run` takes."""
    parser.add_argument("model", type=Path, help="a folder that benchmarks/mistral_shape.py wrote")
    parser.add_argument("viggo", type=Path, help="the folder of ViGGO's CSV files")
    parser.add_argument("--methods", nargs="+", choices=methods, default=list(methods))
    parser.add_argument("--here", action="store_true", help="run one method in this process, and print its figures as JSON")
    parser.add_argument("--out", type=Path, default=out)


def run(options: argparse.Namespace, methods: Mapping[str, Method], script: str) -> None:
    """Run the methods asked for; one that fails is recorded with its last line."""
    if options.here:
        print(json.dumps(methods[options.methods[0]](options.model, options.viggo)))
        return
    results = {"machine": describe_machine(), "methods": {}}
    if options.out.exists():
        results["methods"] = json.loads(options.out.read_text(encoding="utf-8"))["methods"]
    for method in options.methods:
        command = [sys.executable, script, str(options.model), str(options.viggo), "--methods", method, "--here"]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode == 0:
            figures = json.loads(ran.stdout.strip().splitlines()[-1])
        else:
            figures = {"error": (ran.stderr.strip().splitlines() or ["no message"])[-1][:300]}
        print(method, figures, flush=True)
        results["methods"][method] = figures
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
