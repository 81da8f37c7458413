"""Fails, naming them, if files or params of a stage have changed since dvc.lock was written.

Needs neither the data nor the model: what is only missing here was not changed. `dvc repro --dry
--allow-missing` will not do: it exits 0 where stages would run, and stops at the first of them whose data are
missing.
"""

import json
import subprocess
import sys

MISSING = ("deleted", "not in cache")


def changes(status: dict[str, list]) -> list[str]:
    """A line for each change in what `dvc status --json` prints, but for missing files."""
    lines = []
    for stage, entries in status.items():
        for entry in entries:
            if not isinstance(entry, dict):
                lines.append(f"{stage}: {entry}")  # such as "changed command"
                continue
            for kind, changed in entry.items():
                for name, how in changed.items():
                    # Params stand under their file: {"params.yaml": {"lora": "modified"}}.
                    inner = how.items() if isinstance(how, dict) else [(name, how)]
                    lines += [
                        f"{stage}: {kind}: {what} ({state})" for what, state in inner if state not in MISSING
                    ]
    return lines


def main() -> int:
    done = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return 2
    stale = changes(json.loads(done.stdout))
    if stale:
        print(
            "dvc.lock is not of these files: `dvc repro`, commit dvc.lock, metrics and plots, and `dvc push`",
            file=sys.stderr,
        )
        print(*stale, sep="\n", file=sys.stderr)
        return 1
    print("nothing is stale")
    return 0


if __name__ == "__main__":
    sys.exit(main())
