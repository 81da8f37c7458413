"""Run each method of a benchmark in a process of its own, alone on this machine.

Figures are written as they come.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from viggo_pipe.core.machine import describe_machine

Method = Callable[[argparse.Namespace], dict]
_PEERS = {"trl": "trl", "liger-kernel": "liger_kernel", "unsloth": "unsloth"}  # distribution: module
_LIMIT = 240  # seconds; on an H100 the longest method took less than half of it


def add_arguments(parser: argparse.ArgumentParser, methods: Mapping[str, Method], out: Path) -> None:
    """The arguments that `run` takes."""
    parser.add_argument("model", type=Path, help="a folder that benchmarks/mistral_shape.py wrote")
    parser.add_argument("viggo", type=Path, help="folder of ViGGO's CSV files")
    parser.add_argument(
        "--here", action="store_true", help="run one method in this process, and print its figures as JSON"
    )
    parser.add_argument("--limit", type=float, default=_LIMIT, help="seconds after which a method is stopped")
    add_methods(parser, methods, out)


def add_methods(parser: argparse.ArgumentParser, methods: Iterable[str], out: Path) -> None:
    """The arguments --methods and --out."""
    names = list(methods)
    parser.add_argument(
        "--methods", nargs="+", choices=names, default=names, metavar="METHOD", help=", ".join(names)
    )
    parser.add_argument("--out", type=Path, default=out)


def run(options: argparse.Namespace, methods: Mapping[str, Method], script: str) -> None:
    """Run the chosen methods. Of one that fails, the last line is recorded."""
    if options.here:
        print(json.dumps(methods[options.methods[0]](options)))
        return
    results = Results(options.out)
    for method in options.methods:
        command = [sys.executable, script, *sys.argv[1:], "--methods", method, "--here"]
        results.add(method, _figures(command, options.limit))


class Results:
    """The file `out`: `machine`, and under `methods` the figures of each, or its `error`.

    Figures of other methods stay if machine and versions are the same.

    Args:
        machine: as the process that measured describes it. This one sees GPUs only if it imported torch.
    """

    def __init__(self, out: Path, machine: dict | None = None):
        self._out, self._content = out, {"machine": machine or describe_machine(), "methods": {}}
        if out.exists():
            earlier = json.loads(out.read_text(encoding="utf-8"))
            if earlier["machine"] == self._content["machine"]:
                self._content = earlier

    def add(self, method: str, figures: dict) -> None:
        """Write the figures of one more method, and print them."""
        print(method, figures, flush=True)
        self._content["methods"][method] = figures
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._out.write_text(json.dumps(self._content, indent=2) + "\n", encoding="utf-8")


def peer_versions() -> dict[str, dict[str, str]]:
    """`versions` of the peer libraries that this process has imported, if any."""
    found = {name: metadata.version(name) for name, module in _PEERS.items() if module in sys.modules}
    return {"versions": found} if found else {}


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other benchmark measures on this machine, and make others wait."""
    with open(Path(tempfile.gettempdir()) / "viggo-pipe-benchmark.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        yield


def _figures(command: list[str], limit: float) -> dict:
    with alone():
        # In a session of its own: stopping it stops its children too, and nothing stays on the GPU.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return {"error": f"stopped after {limit:g} s"}
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    if process.returncode:
        return {"error": (errors.strip().splitlines() or ["no message"])[-1][:300]}
    return json.loads(output.strip().splitlines()[-1])
