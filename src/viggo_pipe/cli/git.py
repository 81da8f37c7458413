"""What git says of the workspace."""

import subprocess


def current_commit() -> str | None:
    """HEAD, with "-dirty" where tracked files differ from it; None outside a repository, or without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    except FileNotFoundError:
        return None
