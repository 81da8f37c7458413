"""dvc.yaml declares what its stages depend on.

A package less is a silent stale skip, one more a needless rerun.
"""

import ast
import re
from pathlib import Path

import pytest
import yaml
from helpers.imports import LIBRARY, ROOT, import_closure, package_of
from helpers.pipeline import STAGES, declared_packages, script_of

from viggo_pipe.config.load import SECTIONS, check_params
from viggo_pipe.core.errors import InputError

# Its models have no defaults: DVC tracks every value through `params`.
UNDECLARED = {"config"}


@pytest.mark.parametrize("name", STAGES)
def test_the_packages_are_those_that_the_script_imports(name):
    stage = STAGES[name]
    imported = {package_of(module) for module in import_closure(ROOT / script_of(stage))}
    assert declared_packages(stage) == imported - UNDECLARED
    assert script_of(stage) in stage["deps"]


@pytest.mark.parametrize("name", STAGES)
def test_params_are_the_sections_that_the_script_loads(name):
    tree = ast.parse((ROOT / script_of(STAGES[name])).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    loads = [call for call in calls if getattr(call.func, "id", "") == "load_params"]
    loaded = {argument.value for call in loads for argument in call.args}
    assert loaded == set(STAGES[name].get("params", []))
    assert "runtime" not in loaded, "runtime cannot change a result: every stage gets it, none declares it"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_model_if_it_reads_it(name):
    """Its path is that of a local model; of the other sources the params say which it is."""
    reads = LIBRARY / "models/base_model.py" in import_closure(ROOT / script_of(STAGES[name]))
    assert ("${model.path}" in STAGES[name]["deps"]) == reads


def test_every_section_but_runtime_belongs_to_a_stage():
    declared = {section for stage in STAGES.values() for section in stage.get("params", [])}
    assert declared == set(SECTIONS) - {"runtime"}


def test_a_dataset_where_the_pipeline_writes_is_refused(monkeypatch, tmp_path):
    """DVC would stop with a message of its own, which does not name the setting."""
    monkeypatch.chdir(ROOT)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))

    def load(path):
        params["dataset"]["path"] = str(path)
        return check_params(params, "params.yaml")

    outs = {Path(out) for stage in STAGES.values() for out in outs_of(stage)}
    folders = {out for out in outs if not out.suffix}
    assert len(outs) > 20 and len(folders) == 2
    refused = folders | {folder / "mine" for folder in folders} | {up for out in outs for up in out.parents}
    for path in (*refused, *(ROOT / path for path in refused), "..", "/", "data/../data/"):
        with pytest.raises(InputError, match=r"^params.yaml: dataset\.path: .*, which the pipeline writes;"):
            load(path)
    for path in ("data/local", "./mine", *(out.parent / "mine" for out in outs - folders), tmp_path):
        assert load(path).dataset.path == str(path)


def outs_of(stage):
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind, []):
            yield next(iter(out)) if isinstance(out, dict) else out


def test_only_the_stage_score_imports_evaluate():
    """It takes seconds, which no other command should cost."""
    importing = {
        path
        for path in LIBRARY.rglob("*.py")
        if re.search(r"^\s*(import|from) evaluate\b", path.read_text(encoding="utf-8"), re.M)
    }
    assert importing == {LIBRARY / "evaluation/viggo_metric.py"}
    scripts = [*(ROOT / "stages").glob("*.py"), *(LIBRARY / "cli").rglob("*.py")]
    assert {path.name for path in scripts if importing & import_closure(path)} == {"score.py"}


def test_dvc_yaml_stays_short():
    code = [dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith(("src/", "stages/"))]
    assert len(code) <= 45
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 260
