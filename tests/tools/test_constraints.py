"""constraints.txt pins every distribution that a fresh install brings: nothing in it is left to the day."""

import re
import tomllib
from importlib import metadata

from helpers.imports import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
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
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            found |= required(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)
    return found


def test_everything_that_an_install_brings_is_pinned_and_here_as_pinned():
    installed = required("viggo-pipe", frozenset(EXTRAS)) - {"viggo-pipe", "setuptools"}
    assert {"torch", "dvc", "pytest", "ruff"} <= installed and len(installed) > 100
    assert not installed - set(PINS)
    differing = {name for name in installed if metadata.version(name).split("+")[0] != PINS[name]}
    assert not differing, "install with --constraint constraints.txt"


def test_what_the_project_names_is_pinned_whether_it_is_installed_here_or_not():
    for line in [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]:
        requirement = Requirement(line)
        if requirement.name != "viggo-pipe":
            assert PINS[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_make_constraints_pins_every_extra():
    script = (ROOT / "tools/constraints.sh").read_text(encoding="utf-8")
    asked = set(re.search(r'"\.\[([a-z0-9,]+)\]"', script)[1].split(","))
    within = {
        extra
        for name in asked
        for line in EXTRAS[name]
        for extra in Requirement(line).extras
        if "viggo-pipe" in line
    }
    assert asked | within == set(EXTRAS)
