"""benchmarks/isolated_run.py: methods in processes of their own, one at a time."""

import argparse
import json
import multiprocessing
import sys
import time

import isolated_run
import pytest

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
pytestmark = pytest.mark.usefixtures("own_lock")


def test_methods_are_written_as_they_end_with_the_last_line_of_one_that_fails(tmp_path, monkeypatch):
    script, out = tmp_path / "script.py", tmp_path / "results/out.json"
    script.write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["script.py", "MODEL"])

    def run(methods, limit):
        options = argparse.Namespace(out=out, limit=limit, here=False, methods=methods)
        isolated_run.run(options, {}, str(script))
        return json.loads(out.read_text(encoding="utf-8"))

    found = run(["works", "fails"], 60.0)
    assert found["methods"] == {
        "works": {"tokens_per_second": 3},
        "fails": {"error": "ValueError: no such kernel"},
    }
    assert found["machine"]["cores"] > 0
    later = run(["hangs"], 0.5)
    assert later["methods"] == found["methods"] | {"hangs": {"error": "stopped after 0.5 s"}}


def test_figures_of_another_machine_are_not_kept(tmp_path):
    out = tmp_path / "out.json"
    isolated_run.Results(out).add("ours", {"seconds": 1})
    content = json.loads(out.read_text(encoding="utf-8"))
    content["machine"]["versions"]["torch"] = "0.1"
    out.write_text(json.dumps(content), encoding="utf-8")
    isolated_run.Results(out).add("theirs", {"seconds": 2})
    assert list(json.loads(out.read_text(encoding="utf-8"))["methods"]) == ["theirs"]


def _measure(times):
    with isolated_run.alone():
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
