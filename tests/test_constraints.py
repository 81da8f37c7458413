"""constraints.txt pins every distribution that a fresh install brings: nothing in it is left to the day."""

from importlib import metadata

from imports import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PINS = dict(
    (canonicalize_name(name), version)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for name, version in [line.split("==")]
)


def required(name: str, extras: frozenset[str] = frozenset(), seen: set | None = None) -> set[str]:
    """What `name`, which is installed, requires here, directly or not, as far as that is installed too."""
    seen = set() if seen is None else seen
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return set()  # of an extra that was not asked for
    found = {canonicalize_name(name)}
    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            found |= required(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)
    return found


def test_everything_that_an_install_brings_is_pinned_and_here_as_pinned():
    installed = required("viggo-pipe", frozenset({"test", "lint", "browser", "plots", "remotes"})) - {"viggo-pipe", "setuptools"}
    assert {"torch", "dvc", "pytest", "ruff"} <= installed and len(installed) > 100
    assert not installed - set(PINS)
    differing = {name for name in installed if metadata.version(name).split("+")[0] != PINS[name]}
    assert not differing, "install with --constraint constraints.txt"
