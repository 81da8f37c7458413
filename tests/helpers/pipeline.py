"""What dvc.yaml declares."""

import re

import yaml
from helpers.imports import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE["stages"].items()}


def script_of(stage: dict) -> str:
    """The path of the stage's script."""
    found = re.search(r"stages/\w+\.py", stage["cmd"])
    assert found is not None
    return found[0]


def declared_packages(stage: dict) -> set[str]:
    """The packages of the library that the stage depends on."""
    prefix = "src/viggo_pipe/"
    return {dep.removeprefix(prefix) for dep in stage["deps"] if dep.startswith(prefix)}
