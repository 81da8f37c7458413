"""dvc.yaml declares what its stages depend on: no module less (a silent stale skip), none more (a needless rerun)."""

import ast
import re

import pytest
import yaml
from imports import PACKAGE, ROOT, import_closure

from viggo_pipe.params import SECTIONS

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE["stages"].items()}


def script_of(stage: dict) -> str:
    return re.search(r"stages/\w+\.py", stage["cmd"])[0]


@pytest.mark.parametrize("name", STAGES)
def test_deps_are_the_import_closure(name):
    stage = STAGES[name]
    declared = {dep for dep in stage["deps"] if dep.endswith(".py")}
    imported = import_closure(script_of(stage))
    missing = [f"add to dvc.yaml, stage {name}, deps:   - {path}" for path in sorted(imported - declared)]
    needless = [f"remove from dvc.yaml, stage {name}, deps:   - {path}" for path in sorted(declared - imported)]
    assert not missing + needless, "\n".join(missing + needless)


@pytest.mark.parametrize("name", STAGES)
def test_params_are_the_sections_that_the_script_loads(name):
    tree = ast.parse((ROOT / script_of(STAGES[name])).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load_params"]
    loaded = {argument.value for call in calls for argument in call.args}
    declared = set(STAGES[name].get("params", []))
    missing = [f"add to dvc.yaml, stage {name}, params:   - {section}" for section in sorted(loaded - declared)]
    needless = [f"remove from dvc.yaml, stage {name}, params:   - {section}" for section in sorted(declared - loaded)]
    assert not missing + needless, "\n".join(missing + needless)
    assert "runtime" not in loaded, "runtime cannot change a result: every stage is handed it, none declares it"


@pytest.mark.parametrize("name", STAGES)
def test_the_schema_of_each_section_is_a_dep(name):
    """`params` finds schemas by name, which no import shows: the module that uses a section imports its schema."""
    stage = STAGES[name]
    schemas = {f"src/viggo_pipe/settings/{section}.py" for section in stage.get("params", [])}
    assert schemas <= set(stage["deps"])


def test_every_section_but_runtime_belongs_to_a_stage():
    declared = {section for stage in STAGES.values() for section in stage.get("params", [])}
    assert declared == set(SECTIONS) - {"runtime"}


def test_package_init_files_hold_no_code():
    """They are in no stage's deps, so nothing in them may change a result."""
    for path in (ROOT / "src" / PACKAGE).rglob("__init__.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_version = isinstance(node, ast.Assign) and [target.id for target in node.targets] == ["__version__"]
            assert is_docstring or is_version, f"{path} holds code; move it to a module"
