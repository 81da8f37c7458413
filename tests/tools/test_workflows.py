"""The workflows run what was read when they were pinned, with few rights, and take no text of a stranger's
for code.
"""

import re

import pytest
import yaml
from helpers.imports import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def path(request):
    return request.param


@pytest.fixture
def workflow(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def triggers(workflow):
    """The events that it runs at."""
    found = workflow[True]  # YAML 1.1 reads `on` so
    return {found} if isinstance(found, str) else set(found)


def read(name):
    return yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))


def pins():
    """The commits of each action, in all workflows."""
    found = {}
    for path in WORKFLOWS:
        for action, commit in re.findall(r"uses: ([\w/-]+)@(\w+)", path.read_text(encoding="utf-8")):
            found.setdefault(action, set()).add(commit)
    return found


def make_targets():
    """The targets that the Makefile describes."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE))


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
    assert triggers(workflow) <= {"push", "pull_request", "schedule", "workflow_dispatch"}
    held = {
        step.get("name") for step in steps(workflow) if "secrets." in str(step) or "github.token" in str(step)
    }
    assert held <= {"Pull what the pull request's dvc.lock names", "Post it"}
    assert "secrets." not in str([job.get("env") for job in workflow["jobs"].values()])


def test_no_text_of_others_becomes_a_script(workflow):
    """An expression is pasted into the script before a shell reads it; a variable is not."""
    assert not [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")]


def test_an_action_is_pinned_to_one_commit_everywhere():
    assert all(len(commits) == 1 for commits in pins().values())


def test_what_runs_is_there(workflow):
    """Targets of the Makefile, and scripts."""
    scripts = [step["run"] for step in steps(workflow) if "run" in step]
    asked = {target for script in scripts for target in re.findall(r"\bmake ([a-z-]+)", script)}
    for job in workflow["jobs"].values():
        asked |= set(job.get("strategy", {}).get("matrix", {}).get("target", []))
    assert asked <= make_targets()
    ran = [name for script in scripts for name in re.findall(r"\bbash (\S+)", script)]
    assert all((ROOT / name).is_file() for name in ran)


def test_every_push_is_tested_in_full_and_on_every_python():
    tests = read("tests.yml")
    assert triggers(tests) == {"push", "pull_request"}
    everything, fast = tests["jobs"]["all"], tests["jobs"]["fast"]
    assert everything["steps"][-1] == {"run": "bash .ci/run"}
    assert everything["steps"][1]["with"]["python-version"] == "3.11"
    assert fast["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert fast["steps"][-1]["run"].startswith("make test-fast")


def test_every_night_the_long_tests_run():
    nightly = read("nightly.yml")
    assert {"schedule", "workflow_dispatch"} == triggers(nightly)
    assert {"fuzz", "faults", "audit"} <= set(nightly["jobs"]["nightly"]["strategy"]["matrix"]["target"])
    assert "HYPOTHESIS_PROFILE=nightly" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_continuous_integration_asks_for_targets_of_the_makefile():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    steps = re.findall(r"^ *step ([a-z-]+)$", script, re.MULTILINE)
    assert steps == ["lint", "test", "test-viggo", "test-remotes", "repro"]
    assert set(steps) <= make_targets()


def test_every_described_target_is_phony():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert set(phony.split()) == make_targets()


@pytest.mark.parametrize("path", ["metrics/base.json", "plots/base/attributes.csv", "dvc.lock"])
def test_hooks_before_a_commit_leave_alone_what_dvc_writes(path):
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert re.search(config["exclude"], path)
    assert not re.search(config["exclude"], "src/viggo_pipe/evaluation/metrics.py")
