"""Profiles: complete params files under profiles/, one of which stands as params.yaml."""

import difflib
import os
from pathlib import Path

import yaml

from viggo_pipe.errors import InputError
from viggo_pipe.files import atomic_write
from viggo_pipe.params import PARAMS_FILE, load_params

PROFILES = Path("profiles")
_BACKUP = Path("params.yaml.bak")


def use_profile(name: str) -> tuple[Path, Path | None]:
    """Validate profiles/NAME.yaml and copy it over params.yaml; return its path, and where the old params.yaml was kept.

    A params.yaml that is no profile's copy is somebody's work: it is kept. Any other is not.

    Raises:
        InputError: there is no such profile, or it is not valid; params.yaml is left as it was.
    """
    known = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if not known:
        raise InputError("there is no folder profiles/ with profiles here; run in the project's folder")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise InputError(f"unknown profile {name!r}; {hint}")
    path = PROFILES / f"{name}.yaml"
    load_params(path=path)
    backup = _BACKUP if PARAMS_FILE.is_file() and current_profile() is None else None
    if backup is not None:
        os.replace(PARAMS_FILE, backup)
    with atomic_write(PARAMS_FILE) as file:
        file.write(path.read_text(encoding="utf-8"))
    return path, backup


def current_profile() -> str | None:
    """The name of the profile that params.yaml is a copy of, comments aside; None where it was changed."""
    content = _content(PARAMS_FILE)
    return next(
        (path.stem for path in sorted(PROFILES.glob("*.yaml")) if content is not None and _content(path) == content), None
    )


def _content(path: Path) -> object:
    """What the file says; None where it is damaged."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError, OSError):
        return None
