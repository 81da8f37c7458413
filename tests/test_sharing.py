import json

import pytest
from dvc_project import CACHED, commit_placeholders, dvc, git
from project import Project

pytestmark = pytest.mark.slow


def test_a_teammate_pulls_what_was_pushed_and_reruns_nothing(tmp_path):
    project = Project(tmp_path / "mine")
    commit_placeholders(project)
    dvc(project.folder, "remote", "add", "--default", "team", str(tmp_path / "remote"))
    dvc(project.folder, "push")
    git(project.folder, "add", ".")
    git(project.folder, "commit", "--quiet", "-m", "A run")

    theirs = tmp_path / "theirs"
    git(tmp_path, "clone", "--quiet", str(project.folder), str(theirs))
    assert not any((theirs / path).exists() for path in CACHED)
    dvc(theirs, "pull")
    for path in CACHED:
        assert (theirs / path).read_bytes() == (project.folder / path).read_bytes()
    assert json.loads(dvc(theirs, "status", "--json")) == {}
    assert "Running stage" not in dvc(theirs, "repro")
    assert git(theirs, "status", "--porcelain") == ""
