"""What DVC finds stale after a change, and therefore reruns: exactly the stages that read what changed, and those behind them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc_project import commit_placeholders, dvc, git
from imports import ROOT
from project import Project

pytestmark = pytest.mark.slow

FLOW = {
    "fetch": ["tokenize", "predict@base", "predict@tuned", "predict_probes"],
    "tokenize": ["train", "report"],
    "train": ["predict@tuned", "predict_probes", "report"],
    "predict@base": ["score@base", "compare", "report"],
    "predict@tuned": ["score@tuned", "compare", "report"],
    "predict_probes": ["score_probes"],
    "score@base": ["report"],
    "score@tuned": ["report"],
    "score_probes": ["report"],
    "compare": ["report"],
}
SCORE = {"score@base", "score@tuned", "score_probes", "compare", "report"}
PREDICT = {"predict@base", "predict@tuned", "predict_probes"} | SCORE
TUNED = PREDICT - {"predict@base", "score@base"}


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("reruns") / "project")
    commit_placeholders(project)
    return project


def stale(project: Project) -> set[str]:
    """The stages that `dvc repro` would run, given that each changes what it writes."""
    found = list(json.loads(dvc(project.folder, "status", "--json")))
    for stage in found:
        found += [follower for follower in FLOW.get(stage, []) if follower not in found]
    return set(found)


def test_nothing_is_stale_after_a_run(committed):
    assert stale(committed) == set()


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("lora", "r", 32, {"train"} | TUNED),
        ("train", "learning_rate", 2e-05, {"train"} | TUNED),
        ("generate", "max_new_tokens", 7, PREDICT),
        ("prompt", "template", "{sentence}\n", {"tokenize", "train"} | PREDICT),
        ("prompt", "reverse", "{meaning_representation}\n", {"tokenize", "train"} | PREDICT),
        ("augment", "variants", 3, {"tokenize", "train"} | TUNED),
        ("tokenize", "max_length", 99, {"tokenize", "train"} | TUNED),
        ("probe", "rows", 7, {"predict_probes", "score_probes", "report"}),
        ("score", "bootstrap_seed", 7, SCORE),
        ("runtime", "progress", "plain", set()),
        ("model", "path", "elsewhere", {"tokenize", "train"} | PREDICT),
        ("dataset", "repo", "else/where", {"fetch", "tokenize", "train"} | PREDICT),
    ],
)
def test_a_changed_param_reruns_its_readers(committed, section, key, value, expected):
    before = (committed.folder / "params.yaml").read_text(encoding="utf-8")
    try:
        committed.set(**{section: {key: value}})
        assert stale(committed) == expected
    finally:
        (committed.folder / "params.yaml").write_text(before, encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("tally", SCORE - {"compare"}),
        ("training", {"train"} | TUNED),
        ("generation", PREDICT),
        ("probes", {"predict_probes", "score_probes", "report"}),
        ("settings/train", {"train"} | TUNED),
        ("sample_patterns", {"fetch", "tokenize", "train"} | PREDICT),
        ("report/page", {"report"}),
        ("cli", set()),
    ],
)
def test_a_changed_module_reruns_its_importers(committed, module, expected):
    path = committed.folder / f"src/viggo_pipe/{module}.py"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"# changed\n")
        assert stale(committed) == expected
    finally:
        path.write_bytes(before)


def test_continuous_integration_names_what_is_stale_without_the_data(committed):
    """A clone has neither the data nor the cache."""
    git(committed.folder, "add", ".")
    git(committed.folder, "commit", "--quiet", "-m", "A run")
    clone = committed.folder.parent / "clone"
    git(committed.folder.parent, "clone", "--quiet", str(committed.folder), str(clone))

    def check() -> subprocess.CompletedProcess:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = [sys.executable, str(ROOT / "tools/stale.py")]
        return subprocess.run(command, cwd=clone, env=os.environ | {"PATH": path}, capture_output=True, text=True)

    assert check().returncode == 0
    module = clone / "src/viggo_pipe/tally.py"
    module.write_bytes(module.read_bytes() + b"# changed\n")
    done = check()
    assert done.returncode == 1
    stages = {line.split(":")[0] for line in done.stderr.splitlines()[1:]}
    assert stages == {"score@base", "score@tuned", "score_probes"}
    module.write_bytes(module.read_bytes().removesuffix(b"# changed\n"))
    params = clone / "params.yaml"
    params.write_text(
        params.read_text(encoding="utf-8").replace("learning_rate: 0.002", "learning_rate: 0.001"), encoding="utf-8"
    )
    assert [line for line in check().stderr.splitlines() if "train" in line] == ["train: changed deps: train (modified)"]


def test_the_flow_above_is_that_of_dvc_yaml(committed):
    graph = dvc(committed.folder, "dag", "--dot")
    edges = {tuple(part.strip(' ";') for part in line.split("->")) for line in graph.splitlines() if "->" in line}
    assert edges == {(stage, follower) for stage, followers in FLOW.items() for follower in followers}
    assert yaml.safe_load((committed.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"].keys() >= set(FLOW)
