"""Each stage runs on what dvc.yaml declares and nothing else, and writes what it declares and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc_project import dvc
from imports import ROOT
from project import FLOW, Project
from tiny_model import write_tiny_mistral

pytestmark = pytest.mark.slow

# An installed copy of the library must not stand in for a module that is not declared.
RUN = """
import pathlib, runpy, sys
script, *sys.argv = sys.argv[1], *sys.argv[1:]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as exit_:
    assert exit_.code == 0
for name, module in list(sys.modules.items()):
    if name.startswith("viggo_pipe."):
        assert pathlib.Path(module.__file__).is_relative_to(pathlib.Path("src").resolve()), name
"""
PACKAGES = [path.relative_to(ROOT) for path in (ROOT / "src").rglob("__init__.py")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A project whose every stage has run."""
    folder = tmp_path_factory.mktemp("whole")
    write_tiny_mistral(folder / "tiny-mistral")
    project = Project(folder / "project")
    project.set(
        dataset={"sample": {"train": 24, "validation": 4, "test": 6, "seed": 0}},
        model={"source": "local", "path": str(folder / "tiny-mistral"), "sha256": None},
        augment={"variants": 2, "new_names": 0.5, "typing_slips": 0.3},
        tokenize={"max_length": 256},
        quantize={"bits": 4},
        lora={"r": 4, "upper_layers": 1, "dropout": 0.1},
        train={"soup_members": 2},
        generate={"max_new_tokens": 30, "batch_size": 4},
        score={"bootstrap_resamples": 200},
    )
    shutil.copytree(ROOT / "src", project.folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    project.run_all_apart()
    dvc(project.folder, "init", "--quiet", "--no-scm")
    return project


def files_in(folder: Path, path: str = ".") -> dict[str, bytes]:
    """What `path`, a file or a folder in `folder`, holds: content by path from `folder`."""
    found = (folder / path).rglob("*") if (folder / path).is_dir() else [folder / path]
    return {str(file.relative_to(folder)): file.read_bytes() for file in found if file.is_file()}


@pytest.mark.parametrize("call", FLOW)
def test_a_stage_runs_on_its_declared_deps_alone(whole, tmp_path, call):
    (stage,) = (stage for stage in Repo(str(whole.folder)).index.stages if stage.cmd == f"python stages/{call}")
    given = {}
    for dep in stage.deps:
        given |= files_in(whole.folder, str(dep))
    # What makes folders packages, and is empty. And every stage checks the whole of params.yaml: the schemas of sections that it
    # is not handed can refuse it, no more.
    for path in (Path("params.yaml"), Path("src/viggo_pipe/settings"), *PACKAGES):
        given |= files_in(whole.folder, str(path))
    for path, content in given.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    done = subprocess.run(
        [sys.executable, "-c", RUN, *f"stages/{call}".split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = {}
    for out in stage.outs:
        expected |= files_in(whole.folder, str(out))
    written = {path: content for path, content in files_in(tmp_path).items() if path not in given}
    written = {path: content for path, content in written.items() if not path.startswith("runs/")}
    assert written.keys() == expected.keys()
    assert not [path for path, content in written.items() if content != expected[path]]
