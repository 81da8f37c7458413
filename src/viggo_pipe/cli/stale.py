"""What has changed since the pipeline ran, by `dvc status`."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping

from viggo_pipe.core.errors import InputError, one_line

_MISSING = ("deleted", "not in cache")
_CODE = ("src/", "stages/")


def stale_entries() -> list[str]:
    """A line for each dependency, param or out that is not as dvc.lock has it, but for missing files.

    Raises:
        InputError: DVC cannot tell.
    """
    done = subprocess.run([sys.executable, "-m", "dvc", "status", "--json"], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise InputError(f"`dvc status` fails: {one_line(lines[0] if lines else done.stderr)}")
    return list(_changes(json.loads(done.stdout)))


def _changes(status: Mapping[str, list]) -> Iterator[str]:
    for stage, entries in status.items():
        for entry in entries:
            if not isinstance(entry, dict):
                yield f"{stage}: {entry}"  # such as "changed command"
                continue
            for kind, changed in entry.items():
                for name, how in changed.items():
                    # Params stand under their file: {"params.yaml": {"lora": "modified"}}.
                    for what, state in how.items() if isinstance(how, dict) else [(name, how)]:
                        # Data that are only missing here were not changed. Code is in git.
                        if state not in _MISSING or what.startswith(_CODE):
                            yield f"{stage}: {kind}: {what} ({state})"
