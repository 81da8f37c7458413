"""Profiles: quickstart.yaml is a complete params file, and the others have only what they change of it."""

import difflib
from pathlib import Path
from typing import Any

from viggo_pipe.config.describe import commented_yaml
from viggo_pipe.config.load import PARAMS_FILE, Params, check_params, read_yaml
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.files import atomic_write

PROFILES = Path("profiles")
_COMPLETE = "quickstart.yaml"
_BACKUP = "params.yaml.bak"


def load_profile(path: Path) -> Params:
    """All sections of a profile: the keys of `path`, and the rest from quickstart.yaml, if that is beside it.

    Raises:
        InputError: either file is missing or not valid.
    """
    content, complete = read_yaml(path), path.with_name(_COMPLETE)
    if path != complete and complete.is_file():
        base = read_yaml(complete)
        check_params(base, complete)  # so that its mistakes are not taken for those of `path`
        content = _merged(base, content)
    return check_params(content, path)


def use_profile(name: str) -> tuple[Path, Path | None]:
    """Write params.yaml for profiles/NAME.yaml, complete and with comments.

    A params.yaml with values of its own is kept as params.yaml.bak, or as params.yaml.bak.1 if that is taken,
    and so on. One with a profile's values is not kept.

    Returns:
        The profile's path, and the backup of the old params.yaml, if one was made.

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
    text = commented_yaml(
        load_profile(path),
        f"Written by `viggo use {name}`, from {path}. Change what you like; `viggo check` validates.",
    )
    backup = _back_up() if PARAMS_FILE.is_file() and current_profile() is None else None
    with atomic_write(PARAMS_FILE) as file:
        file.write(text)
    return path, backup


def _back_up() -> Path:
    """Copy params.yaml to the first free name. To move it would leave none if a kill came next."""
    backup, number = Path(_BACKUP), 0
    while backup.exists():
        number += 1
        backup = Path(f"{_BACKUP}.{number}")
    with atomic_write(backup, "wb") as file:
        file.write(PARAMS_FILE.read_bytes())
    return backup


def current_profile() -> str | None:
    """The name of the profile whose values params.yaml has; None where it was changed."""
    try:
        current = check_params(read_yaml(PARAMS_FILE), PARAMS_FILE)
    except InputError:
        return None
    for path in sorted(PROFILES.glob("*.yaml")):
        try:
            if load_profile(path) == current:
                return path.stem
        except InputError:
            continue
    return None


def _merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`content` with the values of `changes`; mappings are merged key by key."""
    merged = dict(content)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
