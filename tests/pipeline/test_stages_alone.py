"""Each stage runs on what dvc.yaml declares and nothing else, and writes what it declares and nothing
else.
"""

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo
from helpers.dvc_project import dvc
from helpers.forked import run_forked
from helpers.imports import ROOT
from helpers.project import FLOW

pytestmark = pytest.mark.slow

PACKAGES = [path.relative_to(ROOT) for path in (ROOT / "src").rglob("__init__.py")]


@pytest.fixture(scope="module")
def whole(whole_run, tmp_path_factory):
    """The folder of a project whose every stage has run, with the model and the library's sources, known to
    DVC.
    """
    project = whole_run.copy(tmp_path_factory.mktemp("alone") / "project")
    folder = project.folder
    shutil.copytree(whole_run.folder.parent / "tiny-mistral", folder / "tiny-mistral")
    project.set(model={"path": "tiny-mistral"})
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    dvc(folder, "init", "--quiet", "--no-scm")
    return folder


def files_in(folder: Path, path: str = ".") -> dict[str, bytes]:
    """What `path`, a file or a folder in `folder`, holds: content by path from `folder`."""
    found = (folder / path).rglob("*") if (folder / path).is_dir() else [folder / path]
    return {str(file.relative_to(folder)): file.read_bytes() for file in found if file.is_file()}


@pytest.mark.parametrize("call", FLOW)
def test_a_stage_runs_on_its_declared_deps_alone(whole, tmp_path, call):
    (stage,) = (stage for stage in Repo(str(whole)).index.stages if stage.cmd == f"python stages/{call}")
    given = {}
    for dep in stage.deps:
        given |= files_in(whole, str(dep))
    # What makes folders packages, and is empty. And every stage checks the whole of params.yaml: the schemas
    # of sections that it is not handed can refuse it, no more.
    for path in (Path("params.yaml"), Path("src/viggo_pipe/config"), *PACKAGES):
        given |= files_in(whole, str(path))
    for path, content in given.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    done = run_forked(tmp_path, *f"stages/{call}".split(), alone=True)
    assert done.returncode == 0, done.stderr
    expected = {}
    for out in stage.outs:
        expected |= files_in(whole, str(out))
    written = {path: content for path, content in files_in(tmp_path).items() if path not in given}
    written = {path: content for path, content in written.items() if not path.startswith("runs/")}
    assert written.keys() == expected.keys()
    assert not [path for path, content in written.items() if content != expected[path]]
