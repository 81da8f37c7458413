import json
import shutil

import pytest
import yaml
from helpers.dvc_project import commit_placeholders, dvc, git
from helpers.imports import ROOT
from helpers.project import Project

from viggo_pipe.cli.compare import compare_with_recorded
from viggo_pipe.cli.git import current_commit
from viggo_pipe.cli.record import record_run
from viggo_pipe.cli.results import results_table
from viggo_pipe.cli.stale import _changes
from viggo_pipe.config.profiles import load_profile
from viggo_pipe.core.checksums import sha256_of
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.jsonl import write_jsonl
from viggo_pipe.core.machine import describe_machine
from viggo_pipe.core.metrics_io import write_metrics
from viggo_pipe.data.provenance import VIGGO_SHA256

EXAMPLES = 1083


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace with the profile smollm2-135m and a made-up run of it, of 1,083 examples."""
    monkeypatch.chdir(tmp_path)
    params = load_profile(ROOT / "profiles/smollm2-135m.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params.model_dump()), encoding="utf-8")
    (tmp_path / "results").mkdir()
    shutil.copy(ROOT / "results/published.json", tmp_path / "results")
    make_run(tmp_path, right=1000)
    return tmp_path


def make_run(folder, right, examples=EXAMPLES):
    write_jsonl(
        folder / "predictions/tuned.jsonl",
        (
            {
                "id": str(number),
                "sentence": "A.",
                "reference": "inform(name[A])",
                "prediction": f"inform(name[{answer}])",
            }
            for number in range(examples)
            for answer in ("A" if number < right else "B",)
        ),
    )
    for which in ("base", "tuned"):
        write_metrics(
            folder / f"metrics/{which}.json", {"exact_match": round(right / examples, 4), "slot_f1": 0.5}
        )
    write_metrics(folder / "metrics/comparison.json", {})
    robustness = {"unseen_names": {"exact_match": 0.9}, "typing_slips": {"exact_match": 0.8}}
    write_metrics(folder / "metrics/robustness.json", robustness)
    write_metrics(
        folder / "metrics/model.json", {"total_parameters": 154_000_000, "trainable_parameters": 19_500_000}
    )
    for stage in ("train", "predict-base", "predict-tuned", "predict-robustness"):
        write_metrics(folder / f"runs/{stage}.json", {"seconds": 1.0, "machine": describe_machine()})


def change(folder, **sections):
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for section, keys in sections.items():
        params[section] |= keys
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def recorded_row():
    return next(line for line in results_table() if "**ours**" in line)


def test_runs_of_several_seeds_give_mean_and_spread(workspace):
    record_run("ours")
    assert "| 134M | test | 92.3 | 50.0 | 90.0 | 80.0 | 1 s | 1 |" in recorded_row()
    change(workspace, train={"seed": 8})
    make_run(workspace, right=1022)
    record_run("ours")
    record_run("ours")  # the same seed takes its own place
    assert "| 93.4 ± 1.4 | 50.0 ± 0.0 | 90.0 ± 0.0 | 80.0 ± 0.0 | 1 s | 2 |" in recorded_row()
    recorded = json.loads((workspace / "results/ours.json").read_text(encoding="utf-8"))
    assert list(recorded["runs"]) == ["0", "8"] and recorded["runs"]["8"]["right"].count("1") == 1022


def test_soups_that_share_members_are_no_two_runs(workspace):
    record_run("ours")
    change(workspace, train={"seed": 7})
    with pytest.raises(InputError, match=r"shares members of its soup with that of seed 0"):
        record_run("ours")
    change(workspace, train={"seed": 8})
    record_run("ours")


def test_a_record_names_its_commit_if_it_can(workspace, monkeypatch):
    def commit():
        return json.loads(record_run("ours").read_text(encoding="utf-8"))["runs"]["0"]["commit"]

    assert commit() is None
    monkeypatch.setenv("PATH", "")  # a machine without git
    assert commit() is None
    assert json.loads(record_run("ours", "abc").read_text(encoding="utf-8"))["runs"]["0"]["commit"] == "abc"


def test_a_repository_that_git_does_not_read_is_no_missing_one(workspace, monkeypatch):
    git(workspace, "init", "--quiet")
    with pytest.raises(InputError, match=r"^git cannot tell the commit here: fatal: .*HEAD"):
        record_run("ours")
    git(workspace, "commit", "--quiet", "--allow-empty", "-m", "one")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(InputError, match=r"dubious ownership .* safe\.directory") as raised:
        record_run("ours")
    assert "\n" not in str(raised.value) and not (workspace / "results/ours.json").exists()


def test_the_commit_is_of_this_repository_within_anothers_hook(workspace, monkeypatch, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for folder in (workspace, other):
        git(folder, "init", "--quiet")
        git(folder, "commit", "--quiet", "--allow-empty", "-m", folder.name)
    expected = current_commit()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert current_commit() == expected


def test_missing_code_is_a_change_and_missing_data_are_not():
    missing = {
        "data/raw/train.jsonl": "deleted",
        "stages/train_lora.py": "deleted",
        "src/viggo_pipe/core": "deleted",
    }
    assert [line.split(" (")[0] for line in _changes({"train": [{"changed deps": missing}]})] == [
        "train: changed deps: stages/train_lora.py",
        "train: changed deps: src/viggo_pipe/core",
    ]


def test_what_a_stage_cost_is_of_what_it_wrote(workspace):
    """DVC restores outs from its cache, and not runs/, which would be of the run before."""
    digest = sha256_of(workspace / "predictions/tuned.jsonl")
    note = {"seconds": 1.0, "machine": describe_machine(), "sha256": digest}
    write_metrics(workspace / "runs/predict-tuned.json", note)
    recorded = json.loads(record_run("ours").read_text(encoding="utf-8"))["runs"]["0"]
    assert recorded["stages"]["predict-tuned"].keys() == {"seconds", "machine"}
    write_metrics(workspace / "runs/predict-tuned.json", note | {"sha256": "0" * 64})
    with pytest.raises(InputError, match=r"runs/predict-tuned\.json is of another run .*predict@tuned`$"):
        record_run("ours")


@pytest.mark.slow
def test_a_workspace_that_changed_since_it_ran_is_not_recorded(workspace, tmp_path_factory, monkeypatch):
    project = Project(tmp_path_factory.mktemp("reproduced") / "project")
    commit_placeholders(project)
    shutil.copytree(workspace, project.folder, dirs_exist_ok=True)
    monkeypatch.chdir(project.folder)
    with pytest.raises(InputError, match=r"not as `dvc repro` left it \(fetch: .*\): run `dvc repro` first"):
        record_run("ours")
    dvc(project.folder, "commit", "--force")
    record_run("ours")
    (project.folder / "data/raw/test.jsonl").unlink()  # which is only missing
    record_run("ours")
    for name, words in {
        "params.yaml": r"train: .*lora \(modified\)",
        "metrics/base.json": r"score: .*metrics/base\.json \(modified\)",
        "metrics/comparison.json": r"score: .*comparison\.json \(modified\)",
        "metrics/model.json": r"train: .*model\.json \(modified\)",
        "predictions/base.jsonl": r"predict@base: .*base\.jsonl \(modified\)",
        "src/viggo_pipe/decoding/grammar.py": r"predict@base: .*decoding \(modified\)",
    }.items():
        path = project.folder / name
        before = path.read_bytes()
        if name == "params.yaml":
            change(project.folder, lora={"r": 8})
        else:
            path.write_bytes(before + b"\n")
        with pytest.raises(InputError, match=words) as raised:
            record_run("other")
        assert "\n" not in str(raised.value)
        path.write_bytes(before)
    assert not (project.folder / "results/other.json").exists()


def test_where_the_same_files_came_from_makes_no_other_setting(workspace):
    record_run("ours")
    change(workspace, dataset={"source": "local", "path": "elsewhere"}, runtime={"progress": "plain"})
    record_run("ours")


def test_a_setting_is_one_setting(workspace):
    record_run("ours")
    change(workspace, lora={"r": 8})
    with pytest.raises(InputError, match=r"other params: lora\.r;"):
        record_run("ours")


@pytest.mark.parametrize(
    ("sections", "complaint"),
    [
        ({"dataset": {"source": "sample"}}, "only runs on ViGGO"),
        (
            {"dataset": {"source": "local", "sha256": VIGGO_SHA256 | {"test": None}}},
            "not verified to be ViGGO's",
        ),
        ({"generate": {"split": "validation"}}, "1083 examples"),
    ],
)
def test_only_whole_runs_on_viggo_are_recorded(workspace, sections, complaint):
    change(workspace, **sections)
    with pytest.raises(InputError, match=complaint):
        record_run("ours")
    assert not (workspace / "results/ours.json").exists()


def test_metrics_of_other_predictions_are_refused(workspace):
    write_metrics(workspace / "metrics/tuned.json", {"exact_match": 0.99})
    with pytest.raises(InputError, match=r"metrics/tuned\.json"):
        record_run("ours")


@pytest.mark.parametrize("name", ["published", "../ours", "a b", ""])
def test_names_that_are_none(workspace, name):
    with pytest.raises(InputError, match="cannot be called"):
        record_run(name)


def test_a_run_is_compared_with_a_recorded_one_example_by_example(workspace):
    record_run("ours")
    make_run(workspace, right=1010)
    outcomes = compare_with_recorded("ours")
    assert (
        outcomes.both_right,
        outcomes.only_first_right,
        outcomes.only_second_right,
        outcomes.both_wrong,
    ) == (1000, 0, 10, 73)
    with pytest.raises(InputError, match="no run of seed 7"):
        compare_with_recorded("ours", seed=7)
    with pytest.raises(InputError, match=r"results/theirs\.json"):
        compare_with_recorded("theirs")


def test_published_figures_have_a_source_and_a_split(workspace):
    for figure in json.loads((ROOT / "results/published.json").read_text(encoding="utf-8"))["figures"]:
        assert (
            figure["source"] and figure["split"] in {"validation", "test"} and 0 < figure["exact_match"] < 1
        )


def test_the_readme_holds_the_table(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert "\n".join(results_table()) in (ROOT / "README.md").read_text(encoding="utf-8")


DAMAGED = [
    "",
    "[]",
    "{}",
    "null",
    '{"runs": [1]}',
    '{"runs": {"0": {}}, "params": {}}',
    '{"runs": {"x": 1}, "params": []}',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_is_named(workspace, content):
    (workspace / "results/ours.json").write_text(content)
    for call in (
        lambda: list(results_table()),
        lambda: record_run("ours"),
        lambda: compare_with_recorded("ours"),
    ):
        with pytest.raises(InputError, match=r"results/ours\.json"):
            call()


def test_damaged_published_figures_are_named(workspace):
    (workspace / "results/published.json").write_text('{"figures": [{"system": "x"}]}')
    with pytest.raises(InputError, match=r"results/published\.json"):
        list(results_table())
