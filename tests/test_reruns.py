"""What DVC finds stale after a change, and therefore reruns: exactly the stages that read what changed, and those behind them."""

import json
import shutil
import subprocess
import sys

import pytest
import yaml
from imports import ROOT
from project import Project

pytestmark = pytest.mark.slow

FLOW = {
    "fetch": ["tokenize", "predict@base", "predict@tuned"],
    "tokenize": ["train", "report"],
    "train": ["predict@tuned", "report"],
    "predict@base": ["score@base", "compare", "report"],
    "predict@tuned": ["score@tuned", "compare", "report"],
    "score@base": ["report"],
    "score@tuned": ["report"],
    "compare": ["report"],
}
SCORE = {"score@base", "score@tuned", "compare", "report"}
PREDICT = {"predict@base", "predict@tuned"} | SCORE
TUNED = {"predict@tuned", "score@tuned", "compare", "report"}


def dvc(project: Project, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=project.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(project: Project, path: str) -> None:
    target = project.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{path}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A project whose every out DVC takes for up to date: what is asked here is when it stops to, not how outs are made."""
    project = Project(tmp_path_factory.mktemp("reruns") / "project")
    for source in (ROOT / "src").rglob("*.py"):
        target = project.folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    shutil.copytree(ROOT / "src/viggo_pipe/report/templates", project.folder / "src/viggo_pipe/report/templates")
    subprocess.run(["git", "init", "--quiet"], cwd=project.folder, check=True)
    dvc(project, "init", "--quiet")
    for split in ("train", "validation", "test"):
        write(project, f"data/raw/{split}.jsonl")
    for split in ("train", "validation"):
        write(project, f"data/tokenized/{split}.parquet")
    write(project, "models/adapter/adapter_config.json")
    for name in ("tokens", "model", "base", "tuned", "comparison"):
        write(project, f"metrics/{name}.json")
    for name in ("plots/loss.csv", "plots/token_lengths.csv", "reports/index.html", "models/README.md"):
        write(project, name)
    for which in ("base", "tuned"):
        write(project, f"predictions/{which}.jsonl")
        for name in ("attributes", "by_dialogue_act", "dialogue_acts"):
            write(project, f"plots/{which}/{name}.csv")
    dvc(project, "commit", "--force")
    return project


def stale(project: Project) -> set[str]:
    """The stages that `dvc repro` would run, given that each changes what it writes."""
    found = list(json.loads(dvc(project, "status", "--json")))
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
        ("tokenize", "max_length", 99, {"tokenize", "train"} | TUNED),
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
        ("tally", {"score@base", "score@tuned", "report"}),
        ("training", {"train"} | TUNED),
        ("generation", PREDICT),
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


def test_the_flow_above_is_that_of_dvc_yaml(committed):
    graph = dvc(committed, "dag", "--dot")
    edges = {tuple(part.strip(' ";') for part in line.split("->")) for line in graph.splitlines() if "->" in line}
    assert edges == {(stage, follower) for stage, followers in FLOW.items() for follower in followers}
    assert yaml.safe_load((committed.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"].keys() >= set(FLOW)
