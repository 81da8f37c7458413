"""The benchmarks run, with a tiny model in place of Mistral-7B, and write what docs/performance.md is made from."""

import json
import multiprocessing
import subprocess
import sys
import time
from importlib.util import find_spec

import apart
import clock
import end_to_end
import grammar
import multi_gpu
import pytest
from imports import ROOT
from mistral_shape import write_shape
from tiny_model import write_tiny_mistral
from tiny_profiles import tiny_viggo_profile
from transformers import AutoConfig

from viggo_pipe.params import load_params


@pytest.fixture(scope="module")
def tiny_shape(tmp_path_factory):
    """The folder of a tiny Mistral in NF4, written as the benchmarks' model is."""
    tokenizer, folder = tmp_path_factory.mktemp("tokenizer"), tmp_path_factory.mktemp("model")
    write_tiny_mistral(tokenizer)
    write_shape(folder, tokenizer, AutoConfig.from_pretrained(tokenizer))
    return folder


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """Whatever else is measured on this machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(apart.tempfile, "tempdir", str(tmp_path))


def run(script, *arguments, out):
    """The file that a benchmark writes."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.viggo
@pytest.mark.parametrize("method", ["ours", "ours, 24 GB", "seed's recipe", "Trainer, padded", "TRL, packing"])
def test_training(tiny_shape, viggo_folder, tmp_path, method):
    if method.startswith("TRL") and find_spec("trl") is None:
        pytest.skip("TRL is not installed")
    found = run("training.py", tiny_shape, viggo_folder, "--methods", method, "--windows", 1, out=tmp_path / "out.json")
    figures = found["methods"][method]
    assert figures["lowest"] <= figures["tokens_per_second"] <= figures["highest"]
    assert figures["tokens_per_second"] > 0 and ("kernels" in figures) == method.startswith("ours")
    if method.startswith("ours"):
        assert 0.95 * 32 * 512 < figures["tokens_per_step"] <= 32 * 512


@pytest.mark.slow
@pytest.mark.viggo
def test_generation_gives_every_reference(tiny_shape, viggo_folder, tmp_path):
    methods = ["ours", "ours, weights kept in NF4", "seed's recipe", "generate, NF4, batch 64"]
    found = run("generation.py", tiny_shape, viggo_folder, "--sentences", 9, "--methods", *methods, out=tmp_path / "out.json")
    assert list(found["methods"]) == methods and "torch" in found["machine"]["versions"]
    for figures in found["methods"].values():
        assert figures["references_reproduced"] == figures["sentences"] > 0 and figures["seconds"] > 0


@pytest.mark.slow
@pytest.mark.viggo
def test_the_grammars_cost(viggo_folder, tmp_path):
    profile = tiny_viggo_profile(tmp_path, generate={"max_new_tokens": 200, "batch_size": 2})
    given = (viggo_folder, "--params", profile, "--rounds", 2, "--sentences", 7)
    found = run("grammar.py", *given, out=tmp_path / "out.json")["methods"]
    assert list(found) == list(grammar.WAYS)
    for way, figures in found.items():
        assert figures["references_reproduced"] == 7 and figures["rounds"] == 2 and figures["first_batch"] > 0
        assert 0 < figures["lowest"] <= figures["seconds"] <= figures["highest"]
        assert ("slower" in figures) == (way != grammar.WAYS[0])


def test_a_grammars_cost_is_over_the_same_rounds():
    without = [grammar.Run(1.0, seconds, 5) for seconds in (2.0, 4.0, 5.0)]
    found = grammar.figures([grammar.Run(1.5, *run) for run in ((2.2, 4), (4.0, 5), (6.0, 5))], without)
    expected = {"references_reproduced": 4, "rounds": 3, "first_batch": 1.5, "seconds": 4.0, "lowest": 2.2, "highest": 6.0}
    assert found == expected | {"slower": 10.0, "least_slower": 0.0, "most_slower": 20.0}


@pytest.mark.slow
@pytest.mark.viggo
def test_end_to_end(viggo_folder, tmp_path):
    given = (viggo_folder, "--params", tiny_viggo_profile(tmp_path), "--methods", "one adapter")
    figures = run("end_to_end.py", *given, out=tmp_path / "out.json")["methods"]["one adapter"]
    parts = [figures[f"{stage}_seconds"] for stage in ("train", "predict", "score")]
    assert min(parts) > 0 and figures["seconds"] == pytest.approx(sum(parts), abs=0.2)
    assert 0 < figures["training_loop_seconds"] < parts[0] and 0 < figures["generation_seconds"] < parts[1]
    assert figures["examples"] == 714 and figures["exact_match"] == 0


def test_end_to_end_names_the_gpus_that_its_stages_saw(tmp_path, monkeypatch):
    """Its own process does not import torch, and would see none."""
    machine = {"processor": "a CPU", "gpus": ["a GPU"], "versions": {"torch": "2.13"}}

    class Workspace:
        def __init__(self, params, root):
            pass

        def run(self, *stages):
            pass

        def measured(self, stage):
            return {"peak_memory_mib": 1, "machine": machine, "training_seconds": 2.0, "generation_seconds": 1.0}

        def metrics(self, name):
            return {"examples": 1, "exact_match": 0.5}

    monkeypatch.setattr(end_to_end, "Workspace", Workspace)
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["end_to_end.py", str(tmp_path), "--out", str(out)])
    end_to_end.main()
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["machine"] == machine and list(found["methods"]) == list(end_to_end.METHODS)


@pytest.mark.slow
@pytest.mark.viggo
def test_several_processes_have_one_processs_losses(tiny_shape, viggo_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    methods = ["1 process", "2 processes, DDP", "2 processes, FSDP"]
    given = (tiny_shape, viggo_folder, "--windows", 1, "--methods", *methods)
    found = run("multi_gpu.py", *given, out=tmp_path / "out.json")["methods"]
    assert list(found) == methods
    for figures in found.values():
        assert figures["tokens_per_second"] > 0 and 0.95 * 32 * 512 < figures["tokens_per_step"] <= 32 * 512
        assert len(figures["losses"]) == clock.WARM_UP + clock.WINDOW
    assert all(found[method]["loss_difference"] < 1e-4 for method in methods[1:])


@pytest.mark.parametrize("method", multi_gpu._CHANGES)
def test_a_method_of_several_processes_has_settings_that_are_valid_and_comparable(method):
    train = multi_gpu.settings(method, load_params("train", path=ROOT / "profiles/mistral-7b.yaml"))
    type(train).model_validate(train.model_dump())
    assert train.processes * train.batch_size * train.accumulation == 32 and not train.cuda_graph


def options(tmp_path, limit=60.0):
    names = {"out": tmp_path / "results" / "out.json", "limit": limit, "here": False, "methods": ["works", "fails"]}
    return apart.argparse.Namespace(**names)


SCRIPT = """
import sys, time
method = sys.argv[sys.argv.index("--methods") + 1]
assert sys.argv[1] == "MODEL" and sys.argv[-1] == "--here"
if method == "fails":
    sys.exit("ValueError: no such kernel")
if method == "hangs":
    time.sleep(60)
print("a line of progress")
print('{"tokens_per_second": 3}')
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["script.py", "MODEL"])
    return str(tmp_path / "script.py")


def test_methods_are_written_as_they_come_and_one_that_fails_with_its_last_line(tmp_path, script):
    given = options(tmp_path)
    apart.run(given, {}, script)
    found = json.loads(given.out.read_text(encoding="utf-8"))
    assert found["methods"] == {"works": {"tokens_per_second": 3}, "fails": {"error": "ValueError: no such kernel"}}
    assert found["machine"]["cores"] > 0

    given.methods = ["hangs"]
    given.limit = 0.5
    apart.run(given, {}, script)
    later = json.loads(given.out.read_text(encoding="utf-8"))
    assert later["methods"] == found["methods"] | {"hangs": {"error": "stopped after 0.5 s"}}


def test_figures_of_another_machine_are_not_kept(tmp_path):
    out = tmp_path / "out.json"
    apart.Results(out).add("ours", {"seconds": 1})
    content = json.loads(out.read_text(encoding="utf-8"))
    content["machine"]["versions"]["torch"] = "0.1"
    out.write_text(json.dumps(content), encoding="utf-8")
    apart.Results(out).add("theirs", {"seconds": 2})
    assert list(json.loads(out.read_text(encoding="utf-8"))["methods"]) == ["theirs"]


def _measure(times):
    with apart.alone():
        started = time.monotonic()
        time.sleep(0.3)
        times.put((started, time.monotonic()))


def test_two_benchmarks_at_once_measure_one_after_the_other():
    context = multiprocessing.get_context("fork")
    times = context.Queue()
    processes = [context.Process(target=_measure, args=(times,)) for _ in range(2)]
    for process in processes:
        process.start()
    (_, first_end), (second_start, _) = sorted(times.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert first_end <= second_start


def test_the_clock_counts_the_tokens_of_its_windows(monkeypatch):
    """Steps of two batches of ten tokens a row, each a second long."""
    seconds = iter(range(100))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(seconds))

    class Trainer:
        def add_callback(self, callback):
            self.callback = callback

        def train(self):
            control = type("Control", (), {"should_training_stop": False})()
            while not control.should_training_stop:
                for _ in range(2):
                    assert self.data_collator([10, 10, 10]) == "a batch"
                self.callback.on_step_end(None, None, control)

    figures = clock.Clock(lambda rows: "a batch", sum, accumulation=2, windows=3).train(Trainer())
    assert figures["tokens_per_second"] == figures["lowest"] == figures["highest"] == figures["tokens_per_step"] == 60
