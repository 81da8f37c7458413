"""docs/performance.md says what benchmarks/results hold, and nothing else."""

import json

import performance


def test_the_document_is_that_of_the_results():
    assert performance.DOCUMENT.read_text(encoding="utf-8") == performance.render(), "run `make performance`"


def test_every_benchmark_of_methods_is_shown(tmp_path, monkeypatch):
    machine = {
        "processor": "one",
        "cores": 2,
        "gpus": ["a GPU"],
        "versions": {"python": "3.12", "torch": "2.11"},
    }
    methods = {
        "ours": {"tokens_per_second": 12345, "kernels": {"a gemm": 1.5, "rest": 0.25}},
        "theirs": {"error": "does not install"},
        "others": {"tokens_per_second": 5, "versions": {"trl": "1.16", "unsloth": "2026"}},
    }
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    for name in ("training", "training-another", "generation", "end_to_end", "multi_gpu"):
        content = json.dumps({"machine": machine, "methods": methods})
        (tmp_path / f"benchmarks/results/{name}.json").write_text(content, encoding="utf-8")
    monkeypatch.setattr(performance, "ROOT", tmp_path)
    document = performance.render()
    assert document.count("| ours | 12,345 |") == 5 and document.count("| theirs | does not install |") == 5
    assert document.count("| others (trl 1.16, unsloth 2026) | 5 |") == 5 and "versions |" not in document
    assert (
        document.count("| `a gemm` | 1.5 |") == 2 and document.count("| all | 1.8 |") == 2
    )  # of trainings alone
    assert document.count("one, 2 cores, a GPU; Python 3.12, torch 2.11") == 5
    assert document.count("Not measured with this version yet") == 2  # the quickstart and scaling


def test_the_quickstart_is_shown(tmp_path, monkeypatch):
    content = {
        "machine": {"processor": "one", "cores": 2, "gpus": [], "versions": {"python": "3.12"}},
        "load": {"before": 0.1, "after": 1.9},
        "stages": {
            "fetch": {"seconds": 0.1, "peak_memory_mib": 30},
            "predict-base": {"seconds": 2.5, "peak_memory_mib": 2100, "tokens_per_second": 130},
        },
        "commands": {
            "dvc repro": {"seconds": 300.5},
            "viggo --help": {"seconds": 0.1, "lowest": 0.05, "highest": 0.2},
        },
    }
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    (tmp_path / "benchmarks/results/quickstart.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(performance, "ROOT", tmp_path)
    document = performance.render()
    for row in ("| fetch | 0.1 | 30 |  |", "| predict-base | 2.5 | 2,100 | 130 |", "| `dvc repro` | 300.5 |"):
        assert row in document
    assert (
        "| `viggo --help` | 0.1 (median of five, 0.05 to 0.2) |" in document
        and "was 0.1 before and 1.9 after" in document
    )
