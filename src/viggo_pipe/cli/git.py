"""What git says of the workspace."""

import os
import subprocess
from pathlib import Path

from viggo_pipe.core.errors import InputError, one_line

_OTHERS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"}


def current_commit() -> str | None:
    """HEAD, with "-dirty" where tracked files differ from it; None outside a repository, or without git.

    Raises:
        InputError: there is a repository, but git does not read it, such as another user's.
    """
    if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return None
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        # In a hook, git's own variables name the repository that it was called in.
        environment = {name: value for name, value in os.environ.items() if name not in _OTHERS}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        return None
    if done.returncode:
        raise InputError(f"git cannot tell the commit here: {one_line(done.stderr)}")
    return done.stdout.strip()
