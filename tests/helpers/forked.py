"""Runs scripts in processes that need not import the libraries: they are forks of one that has.

The libraries take seconds to import, and a stage on a tiny model takes one. multiprocessing's fork server
imports them once. It imports nothing of this project: a script finds its own library, as in a new process.
But what libraries read from the environment when they are imported (HF_ENDPOINT, say) is as it was then.
"""

import multiprocessing
import os
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

_LIBRARIES = (
    *("accelerate", "bitsandbytes", "datasets", "evaluate", "gguf", "jinja2", "llguidance.hf", "peft"),
    *("pyarrow.parquet", "pydantic", "rapidfuzz", "safetensors.torch", "scipy.stats", "torch"),
    *("transformers.models.llama.modeling_llama", "transformers.models.mistral.modeling_mistral"),
    "transformers.trainer",
)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(_LIBRARIES))


@dataclass(frozen=True)
class Ended:
    """How a process ended, in the names of subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """A process at `command`, a script and its arguments, in `folder`: the leader of a group of its own.

    Args:
        environment: what it has beside this process's.
        alone: it finds no library of this project but the one beside its script.
    """

    def __init__(
        self, folder: Path, *command: str, environment: dict[str, str] | None = None, alone: bool = False
    ):
        self._logs = folder.parent / f"{folder.name}.out", folder.parent / f"{folder.name}.err"
        whole = {**os.environ, **(environment or {})}
        arguments = (str(folder), command, whole, tuple(map(str, self._logs)), alone)
        self._process = _CONTEXT.Process(target=_run, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its id, and that of its group."""
        assert self._process.pid is not None
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def wait(self) -> Ended:
        """Wait until it has ended. Ended by a signal, it has minus the signal's number as its status."""
        self._process.join()
        assert self._process.exitcode is not None
        stdout, stderr = (
            log.read_text(encoding="utf-8")
            if log.exists()
            else ""  # a process can be killed before it opens them
            for log in self._logs
        )
        return Ended(self._process.exitcode, stdout, stderr)


def run_forked(folder: Path, *command: str, **options) -> Ended:
    """Run a script to its end; the options are those of `Forked`."""
    return Forked(folder, *command, **options).wait()


def _run(
    folder: str, command: tuple[str, ...], environment: dict[str, str], logs: tuple[str, str], alone: bool
) -> None:
    os.setsid()
    for descriptor, log in enumerate(logs, start=1):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    assert not [name for name in sys.modules if name.startswith("viggo_pipe")]
    if alone:
        ours = str(Path(__file__).parents[2] / "src")
        sys.path = [path for path in sys.path if path != ours]
    sys.argv = list(command)
    sys.path.insert(0, str(Path(folder, command[0]).parent))
    runpy.run_path(command[0], run_name="__main__")
