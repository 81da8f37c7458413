"""benchmarks/end_to_end.py: the stages train and predict, timed."""

import json
import sys

import end_to_end
import pytest
from helpers.fake_stages import fake_run
from helpers.tiny_profiles import tiny_viggo_profile
from workspace import Workspace

pytestmark = pytest.mark.usefixtures("own_lock")


def benchmark(out, *arguments):
    """The file that the benchmark writes."""
    sys.argv[1:] = [*map(str, arguments), "--out", str(out)]
    end_to_end.main()
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def own_arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["end_to_end.py"])


@pytest.mark.slow
@pytest.mark.viggo
def test_seconds_and_exact_match_of_real_stages(viggo_folder, tmp_path):
    given = (viggo_folder, "--params", tiny_viggo_profile(tmp_path), "--methods", "one adapter")
    figures = benchmark(tmp_path / "out.json", *given)["methods"]["one adapter"]
    train, predict = figures["train_seconds"], figures["predict_seconds"]
    assert figures["seconds"] == pytest.approx(train + predict, abs=0.2)
    assert 0 < figures["training_loop_seconds"] < train and 0 < figures["generation_seconds"] < predict
    assert figures["examples"] == 714 and figures["exact_match"] == 0


def test_the_machine_is_the_one_that_the_stages_saw(tmp_path, monkeypatch):
    """This process sees a GPU only if it imported torch."""

    def run(workspace, *stages):
        for stage in stages:
            fake_run(workspace.folder, stage, "validation", 1.0)
            note = workspace.folder / f"runs/{stage}.json"
            figures = {"peak_memory_mib": 1, "training_seconds": 2.0, "generation_seconds": 1.0}
            note.write_text(json.dumps(json.loads(note.read_text(encoding="utf-8")) | figures))

    monkeypatch.setattr(Workspace, "run", run)
    found = benchmark(tmp_path / "out.json", tmp_path)
    assert found["machine"]["gpus"] == ["a GPU"] and list(found["methods"]) == list(end_to_end.METHODS)
