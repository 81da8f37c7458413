"""Datasets at the ends of what can be."""

import csv
import json
import os
import subprocess
import sys

from helpers.imports import ROOT

from faults.workspace import NewWorkspace
from viggo_pipe.core.jsonl import write_jsonl


def small_splits(new: NewWorkspace) -> tuple[str, str]:
    """A validation split of one row, and of none"""
    work = new("small")
    work.project.set(dataset={"sample": {"train": 60, "validation": 1, "test": 6, "seed": 0}})
    work.run_all()
    folder = work.folder / "data/local"
    for split in ("train", "validation", "test"):
        rows = [["one", "inform(name[Doom])", "Doom."]] if split != "validation" else []
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["gem_id", "mr", "ref"], *rows])
    work.project.set(dataset={"source": "local"})
    before = work.digests()
    assert work.run("fetch_dataset.py") == 2 and "validation.csv has no row" in work.said, work.said
    assert work.digests() == before
    return (
        "once each",
        'nothing: one row is enough; none is refused with exit 2 ("... validation.csv has no row ...")',
    )


def large_dataset(new: NewWorkspace) -> tuple[str, str]:
    """A dataset a hundred times as large: 100 x 600 rows fetched from CSV, and as many predictions scored"""
    figures = []
    for factor in (1, 100):
        work = new(f"large-{factor}")
        for split in ("train", "validation", "test"):
            rows = (
                [f"{split}-{i}", "inform(name[Doom], genres[shooter])", f"Doom {i} is a shooter."]
                for i in range(600 * factor)
            )
            with open(work.folder / f"data/local/{split}.csv", "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["gem_id", "mr", "ref"], *rows])
        work.project.set(dataset={"source": "local"})
        for which in ("base", "tuned"):
            predictions = (
                {
                    "id": str(i),
                    "sentence": "Doom.",
                    "reference": "inform(name[Doom])",
                    "prediction": "inform(name[Quake])",
                }
                for i in range(600 * factor)
            )
            write_jsonl(work.folder / f"predictions/{which}.jsonl", predictions)
        for call, stage in (("fetch_dataset.py", "fetch"), ("score.py", "score")):
            done = subprocess.run(
                # By way of a shell: a process counts as its own the memory of the one that started it, and
                # this one is large.
                ["sh", "-c", f"{sys.executable} stages/{call}; exit $?"],
                cwd=work.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            figures.append(json.loads((work.folder / f"runs/{stage}.json").read_text())["peak_memory_mib"])
    fetch, score, fetch_100, score_100 = figures
    return "once", (
        f"nothing; peak memory of fetch {fetch} MiB, then {fetch_100}; of score {score} MiB, then {score_100}"
    )
