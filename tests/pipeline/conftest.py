import shutil
from pathlib import Path

import pytest
from helpers.dvc_project import commit_placeholders
from helpers.project import Project
from helpers.tiny_model import write_tiny_mistral

TINY = {
    "dataset": {"sample": {"train": 24, "validation": 4, "test": 6, "seed": 0}},
    "tokenize": {"max_length": 256},
    "lora": {"r": 4, "upper_layers": 1},
    "quantize": {"bits": 4},
    "generate": {"max_new_tokens": 40, "batch_size": 4},
    "score": {"bootstrap_resamples": 200},
}


@pytest.fixture(scope="session")
def placeholders(tmp_path_factory):
    """The folder of a project in git and DVC whose every out is a placeholder. Tests copy it."""
    project = Project(tmp_path_factory.mktemp("placeholders") / "project")
    commit_placeholders(project)
    return project.folder


@pytest.fixture
def mine(placeholders, tmp_path):
    """A copy of it that a test may change."""
    return Path(shutil.copytree(placeholders, tmp_path / "mine", symlinks=True))


def tiny_project(folder: Path) -> Project:
    """A project with a tiny Mistral in NF4, in `folder`, beside the model."""
    write_tiny_mistral(folder / "tiny-mistral")
    project = Project(folder / "a project")
    project.set(**TINY)
    project.set(model={"source": "local", "path": str(folder / "tiny-mistral"), "sha256": None})
    return project


@pytest.fixture
def tiny(tmp_path):
    """A tiny project without outs."""
    return tiny_project(tmp_path)


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """A tiny project whose every stage has run: a soup, dropout and augmentation. Tests copy it."""
    project = tiny_project(tmp_path_factory.mktemp("whole"))
    project.set(
        augment={"variants": 2, "new_names": 0.5, "typing_slips": 0.3},
        lora={"lora_dropout": 0.1},
        train={"soup_members": 2},
    )
    with pytest.MonkeyPatch.context() as patch:
        project.run_all(patch)
    return project
