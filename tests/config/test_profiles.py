"""Profiles have what they change of the quickstart, and `use` writes them out in full."""

import pytest
import yaml
from helpers.imports import ROOT
from helpers.project import Project

from viggo_pipe.config.load import SECTIONS, load_params
from viggo_pipe.config.profiles import current_profile, load_profile, use_profile
from viggo_pipe.core.errors import InputError

PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
QUICKSTART = ROOT / "profiles/quickstart.yaml"


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return project


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_a_used_profile_is_loaded_as_it_is(project, profile):
    path, backup = use_profile(profile.stem)
    assert (path.name, backup) == (profile.name, None)
    assert load_params(*SECTIONS) == load_profile(profile)
    assert current_profile() == profile.stem


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_only_the_quickstart_is_complete_and_the_others_repeat_nothing_of_it(profile):
    complete = read(QUICKSTART)
    if profile == QUICKSTART:
        assert set(complete) == set(SECTIONS)
        return
    for section, keys in read(profile).items():
        for key, value in keys.items():
            assert complete[section][key] != value, f"{section}.{key} is the quickstart's"


def test_a_profile_is_the_quickstart_with_its_changes(project):
    (project.folder / "profiles/mine.yaml").write_text(
        yaml.safe_dump({"lora": {"r": 3}, "dataset": {"sample": {"seed": 7}}}), encoding="utf-8"
    )
    expected = read(QUICKSTART)
    expected["lora"]["r"] = 3
    expected["dataset"]["sample"]["seed"] = 7
    assert load_profile(project.folder / "profiles/mine.yaml").model_dump(mode="json") == expected


def test_a_profile_with_nothing_beside_it_must_be_complete(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"lora": {"r": 3}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.yaml"):
        load_profile(path)


def test_a_changed_params_file_is_no_profiles(project):
    assert current_profile() == "quickstart"
    project.set(lora={"r": 77})
    assert current_profile() is None
    (project.folder / "params.yaml").write_text("lora: [", encoding="utf-8")
    assert current_profile() is None


def test_an_invalid_profile_leaves_params_yaml_as_it_was(project):
    (project.folder / "profiles/mine.yaml").write_text("lora: {r: 0}\n", encoding="utf-8")
    before = (project.folder / "params.yaml").read_bytes()
    with pytest.raises(InputError, match=r"profiles/mine\.yaml: lora\.r"):
        use_profile("mine")
    assert (project.folder / "params.yaml").read_bytes() == before
    assert not (project.folder / "params.yaml.bak").exists()
