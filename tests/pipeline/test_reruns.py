"""What DVC finds stale after a change, and therefore reruns: exactly the stages that read what changed, and
those behind them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.dvc_project import dvc, git
from helpers.imports import ROOT

pytestmark = pytest.mark.slow

FLOW = {
    "fetch": ["tokenize", "predict@base", "predict@tuned", "predict_robustness"],
    "tokenize": ["train", "report"],
    "train": ["predict@tuned", "predict_robustness", "report"],
    "predict@base": ["score", "report"],
    "predict@tuned": ["score", "report"],
    "predict_robustness": ["score"],
    "score": ["report"],
}
READ_THE_MODEL = {"tokenize", "train", "predict@base", "predict@tuned", "predict_robustness"}
SCORE = {"score", "report"}
PREDICT = {"predict@base", "predict@tuned", "predict_robustness"} | SCORE
TUNED = PREDICT - {"predict@base"}


@pytest.fixture(scope="module")
def committed(placeholders, tmp_path_factory):
    """A copy of the placeholders. Its tests undo what they change."""
    return shutil.copytree(placeholders, tmp_path_factory.mktemp("reruns") / "project", symlinks=True)


def stale(folder: Path) -> set[str]:
    """The stages that `dvc repro` would run, given that each changes what it writes."""
    found = list(json.loads(dvc(folder, "status", "--json")))
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
        ("robustness", "rows", 7, {"predict_robustness"} | SCORE),
        ("score", "bootstrap_seed", 7, SCORE),
        ("runtime", "progress", "plain", set()),
        ("model", "path", "elsewhere", {"tokenize", "train"} | PREDICT),
        ("dataset", "repo", "else/where", {"fetch", "tokenize", "train"} | PREDICT),
    ],
)
def test_a_changed_param_reruns_its_readers(committed, section, key, value, expected):
    before = (committed / "params.yaml").read_text(encoding="utf-8")
    try:
        params = yaml.safe_load(before)
        params[section][key] = value
        (committed / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        assert stale(committed) == expected
    finally:
        (committed / "params.yaml").write_text(before, encoding="utf-8")


@pytest.mark.parametrize("path", ["data/model", "a folder/model", "{outside}/model", "model.gguf"])
def test_a_changed_local_model_reruns_its_readers(mine, tmp_path, path):
    """Whether it is the default folder, another one, or a file."""
    path = path.format(outside=tmp_path)
    model = mine / path
    file = model if model.suffix else model / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    params = yaml.safe_load((mine / "params.yaml").read_text(encoding="utf-8"))
    params["model"] |= {"source": "local", "path": path}
    (mine / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert stale(mine) == {"tokenize", "train"} | PREDICT
    dvc(mine, "commit", "--force")
    assert stale(mine) == set()
    file.write_bytes(b"Weights")
    assert json.loads(dvc(mine, "status", "--json")).keys() == READ_THE_MODEL
    assert stale(mine) == {"tokenize", "train"} | PREDICT


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("core/files", {"fetch", "tokenize", "train"} | PREDICT),
        ("config/settings/train", set()),
        ("data/sample_phrases", {"fetch", "tokenize", "train", "report"} | PREDICT),
        ("augment/robustness_sets", {"tokenize", "train"} | TUNED),
        ("training/train", {"train"} | TUNED),
        ("decoding/generate", PREDICT),
        ("evaluation/metrics", SCORE),
        ("report/render", {"report"}),
        ("cli/main", set()),
    ],
)
def test_a_changed_module_reruns_its_importers(committed, module, expected):
    path = committed / f"src/viggo_pipe/{module}.py"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"# changed\n")
        assert stale(committed) == expected
    finally:
        path.write_bytes(before)


def test_continuous_integration_names_what_is_stale_without_the_data(committed):
    """A clone has neither the data nor the cache."""
    clone = committed.parent / "clone"
    git(committed.parent, "clone", "--quiet", str(committed), str(clone))

    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def check() -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / "tools/stale.py")]
        return subprocess.run(
            command, cwd=clone, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )

    assert check().returncode == 0
    module = clone / "src/viggo_pipe/evaluation/metrics.py"
    module.write_bytes(module.read_bytes() + b"# changed\n")
    params = (clone / "params.yaml").read_text(encoding="utf-8")
    assert "learning_rate: 0.002" in params
    (clone / "params.yaml").write_text(
        params.replace("learning_rate: 0.002", "learning_rate: 0.001"), encoding="utf-8"
    )
    done = check()
    assert done.returncode == 1
    assert set(done.stderr.splitlines()[1:]) == {
        "train: changed deps: train (modified)",
        *(f"{stage}: changed deps: src/viggo_pipe/evaluation (modified)" for stage in ("score", "report")),
    }


def test_the_flow_above_is_that_of_dvc_yaml(committed):
    graph = dvc(committed, "dag", "--dot")
    edges = {
        tuple(part.strip(' ";') for part in line.split("->")) for line in graph.splitlines() if "->" in line
    }
    assert edges == {(stage, follower) for stage, followers in FLOW.items() for follower in followers}
    assert yaml.safe_load((committed / "dvc.lock").read_text(encoding="utf-8"))["stages"].keys() >= set(FLOW)
