"""The digest that a killed run is resumed by: other inputs must change it, and nothing else."""

import ast
import shutil
from pathlib import Path

import pytest
from helpers.imports import LIBRARY, ROOT
from helpers.pipeline import STAGES, declared_packages

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core import resume_digest
from viggo_pipe.core.resume_digest import input_digest

SETTINGS = ScoreSettings(bootstrap_resamples=1, bootstrap_seed=0)
RESUMED = {"train": ROOT / "stages/train_lora.py", "predict": LIBRARY / "decoding/predict.py"}


def packages_of(path: Path) -> tuple[str, ...]:
    """The constant PACKAGES of a module, which need not be imported for it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PACKAGES":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no PACKAGES")


@pytest.mark.parametrize("stage", RESUMED)
def test_the_digests_packages_are_those_that_dvc_yaml_declares(stage):
    packages = packages_of(RESUMED[stage])
    assert len(packages) == len(set(packages))
    assert set(packages) == declared_packages(STAGES[stage])


def test_predict_robustness_adds_only_what_writes_its_sentences():
    """They are in its digest as texts."""
    packages = packages_of(RESUMED["predict"])
    assert declared_packages(STAGES["predict_robustness"]) == {*packages, "augment"}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A copy of the library that a test may change."""
    copy = tmp_path / "viggo_pipe"
    shutil.copytree(LIBRARY, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(resume_digest, "_LIBRARY", copy)
    return copy


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("evaluation/metrics.py", set()),
        ("report/render.py", set()),
        ("training/train.py", {"train"}),
        ("decoding/generate.py", {"predict"}),
        ("meaning/syntax.py", {"predict"}),
        ("core/jsonl.py", {"train", "predict"}),
        ("models/loading.py", {"train", "predict"}),
    ],
)
def test_only_code_that_the_stage_declares_changes_its_digest(library, module, expected):
    def digests():
        return {stage: input_digest(packages_of(path), [], []) for stage, path in RESUMED.items()}

    before = digests()
    (library / module).write_bytes((library / module).read_bytes() + b"# changed\n")
    changed = {stage for stage, found in digests().items() if found != before[stage]}
    assert changed == expected


def test_training_adds_its_script():
    assert "[__file__, *TOKENS]" in RESUMED["train"].read_text(encoding="utf-8")


def test_added_and_renamed_modules_change_it(library):
    before = input_digest(["core"], [], [])
    (library / "core/new.py").write_text("")
    added = input_digest(["core"], [], [])
    (library / "core/new.py").rename(library / "core/newer.py")
    assert len({before, added, input_digest(["core"], [], [])}) == 3


def test_caches_of_bytecode_do_not_change_it(library):
    before = input_digest(["core"], [], [])
    (library / "core/__pycache__").mkdir()
    (library / "core/__pycache__/files.cpython-311.pyc").write_bytes(b"")
    assert input_digest(["core"], [], []) == before


def test_it_is_that_of_settings_files_and_texts(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/file").write_text("1")

    def found(settings=SETTINGS, texts=("a", "b")):
        return input_digest([], [settings], [tmp_path / "inner"], texts)

    first = found()
    assert found() == first
    others = {
        first,
        found(settings=SETTINGS.model_copy(update={"bootstrap_resamples": 2})),
        found(texts=("a", "c")),
        found(texts=("ab",)),
    }
    (tmp_path / "inner/file").write_text("2")
    assert len(others | {found()}) == 5


def test_another_version_of_a_library_changes_it(monkeypatch):
    before = input_digest([], [], [])
    monkeypatch.setattr(resume_digest.metadata, "version", lambda package: "0.0")
    assert input_digest([], [], []) != before
