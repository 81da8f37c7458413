"""What git says of the workspace."""

import subprocess
from pathlib import Path

from viggo_pipe.core.errors import InputError, one_line


def current_commit() -> str | None:
    """HEAD, with "-dirty" where tracked files differ from it; None outside a repository, or without git.

    Raises:
        InputError: there is a repository, but git does not read it, such as another user's.
    """
    if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return None
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    if done.returncode:
        raise InputError(f"git cannot tell the commit here: {one_line(done.stderr)}")
    return done.stdout.strip()
