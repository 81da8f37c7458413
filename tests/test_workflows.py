"""The workflows run what was read when they were pinned, with few rights, and take no text of a stranger's for code."""

import re

import pytest
import yaml
from imports import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def path(request):
    return request.param


@pytest.fixture
def workflow(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_actions_are_pinned_by_commit(path):
    """A tag can be moved to other code. The comment says which version the commit is."""
    uses = [line for line in path.read_text(encoding="utf-8").splitlines() if re.search(r"\buses:", line)]
    assert uses
    for line in uses:
        assert re.fullmatch(r" *- uses: [\w/-]+@[0-9a-f]{40} +# v\d+\.\d+\.\d+", line), line


def test_rights_are_few(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    given = [job["permissions"] for job in workflow["jobs"].values() if "permissions" in job]
    assert given in ([], [{"contents": "read", "pull-requests": "write"}])
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_forks_pull_request_gets_no_secret(path, workflow):
    """GitHub keeps secrets from the event `pull_request` of a fork; the events that do not are not used."""
    triggers = workflow[True]  # YAML 1.1 reads `on` so
    assert set([triggers] if isinstance(triggers, str) else triggers) <= {"push", "pull_request"}
    held = {step.get("name") for step in steps(workflow) if "secrets." in str(step) or "github.token" in str(step)}
    assert held <= {"Pull what the pull request's dvc.lock names", "Post it"}
    assert "secrets." not in str([job.get("env") for job in workflow["jobs"].values()])


def test_no_text_of_others_becomes_a_script(workflow):
    """An expression is pasted into the script before a shell reads it; a variable is not."""
    assert not [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")]
