"""The fault suite: breaks runs in many ways, and writes what was lost into docs/reliability.md.

python tests/faults.py            every fault
python tests/faults.py ROW ...    these rows alone

The pipeline is the project's own, with a tiny Mistral in NF4 and dropout. A row whose promise does not hold fails the suite.
Stages are run as processes of their own, forked from this one, which has imported the libraries; where it says `dvc repro`,
by DVC.
"""

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: its threads do not survive a fork

from dvc_project import git
from imports import ROOT
from project import FLOW, Project

from viggo_pipe import answering, augmentation, probes, training  # noqa: F401 (before the forks)
from viggo_pipe.jsonl import write_jsonl
from viggo_pipe.machine import describe_machine
from viggo_pipe.params import SECTIONS, section_schema
from viggo_pipe.report import page  # noqa: F401

DOCUMENT = ROOT / "docs/reliability.md"
KILLS = 100
NOBODY = 65534
for section in SECTIONS:
    section_schema(section)  # pydantic makes an error of its own of a Ctrl-C while it builds a schema
OUTS = (
    "data/raw", "data/tokenized", "models/adapter", "metrics", "plots", "predictions", "reports",
)  # fmt: skip
_MAKE_MODEL = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
from tiny_model import write_tiny_mistral
write_tiny_mistral(Path(sys.argv[2]))
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Workspace:
    """A project to break, in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.project = Project(folder)
        model = folder.parent / "tiny-mistral"
        if not model.exists():
            # In a process of its own, so that none of the libraries has begun to work in the one that forks the stages.
            subprocess.run(
                [sys.executable, "-c", _MAKE_MODEL, str(Path(__file__).parent), str(model)], check=True, capture_output=True
            )
        self.project.set(
            dataset={"sample": {"train": 60, "validation": 4, "test": 6, "seed": 0}},
            model={"source": "local", "path": str(model), "sha256": None},
            tokenize={"max_length": 256},
            quantize={"bits": 4},
            lora={"r": 4, "upper_layers": 1, "dropout": 0.1},
            train={"batch_size": 2, "epochs": 2, "log_steps": 5, "eval_steps": 15, "keep_best": True},
            generate={"max_new_tokens": 12, "batch_size": 2},
            probe={"rows": 3},
            score={"bootstrap_resamples": 200},
            runtime={"progress": "plain", "checkpoint_steps": 5},
        )
        self.said = ""

    def start(self, call: str, user: int | None = None) -> int:
        """Begin a stage ("predict.py tuned") in a forked process, the leader of a group of its own; return its id."""
        script, *arguments = call.split()
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.setpgid(pid, pid)
            return pid
        code = 70
        try:
            os.setpgid(0, 0)
            os.chdir(self.folder)
            log = os.open(self.folder.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if user is not None:
                os.setuid(user)
            sys.argv = [script, *arguments]
            runpy.run_path(str(self.folder / "stages" / script), run_name="__main__")
        except SystemExit as exit_:
            code = exit_.code
        except KeyboardInterrupt:
            code = 130  # before the stage had begun to listen
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def wait(self, pid: int) -> int:
        """A stage's exit status, or minus the signal that ended it."""
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.said = (self.folder.parent / "log").read_text(encoding="utf-8", errors="replace")
        return status

    def run(self, call: str) -> int:
        return self.wait(self.start(call))

    def run_all(self, calls: tuple[str, ...] = FLOW) -> dict[str, float]:
        """Run stages to their end; return the seconds that each took."""
        seconds = {}
        for call in calls:
            started = time.perf_counter()
            status = self.run(call)
            assert status == 0, f"{call} ended with {status}: {self.said}"
            seconds[call] = time.perf_counter() - started
        return seconds

    def clear(self) -> None:
        """Delete every out."""
        for name in (*OUTS, "models", "runs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def digests(self) -> dict[str, str]:
        """The sha256 of each out."""
        files = [path for name in OUTS for path in (self.folder / name).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}

    def hand_over(self) -> None:
        """Give the project to the user nobody."""
        for path in self.folder.parent.rglob("*"):
            os.chown(path, NOBODY, NOBODY)
        self.folder.parent.parent.chmod(0o755)
        self.folder.parent.chmod(0o777)

    def half_written(self) -> list[str]:
        """What a stage that ended by itself must not leave: temporary files beside the outs."""
        return [str(path) for name in (*OUTS, "models") for path in (self.folder / name).rglob(".*partial*")]

    def dvc(self, *arguments: str) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_NO_ANALYTICS": "1"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def repro(self) -> str:
        """What `dvc repro`, which must succeed, prints."""
        process = self.dvc("repro")
        said = process.communicate()[0]
        assert process.returncode == 0, said
        return said

    def make_repository(self) -> None:
        """Have git and DVC know the folder."""
        shutil.copytree(ROOT / "src", self.folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copy(ROOT / ".gitignore", self.folder)
        git(self.folder, "init", "--quiet")
        assert self.dvc("init", "--quiet").wait() == 0

    def checkpoints(self) -> list[Path]:
        return sorted(self.folder.glob("runs/resume/train-*/checkpoint-*/complete"))

    def stop_training_at_a_checkpoint(self) -> None:
        """SIGKILL the training once two checkpoints are complete."""
        self.run_all(FLOW[:2])
        pid = self.start("train_lora.py")
        while len(self.checkpoints()) < 2:
            time.sleep(0.005)
        os.killpg(pid, signal.SIGKILL)
        assert self.wait(pid) == -signal.SIGKILL


def resumed_from(said: str) -> str | None:
    """The checkpoint that training says it goes on from."""
    return next((line.rsplit("-", 1)[1] for line in said.splitlines() if line.startswith("going on from")), None)


def kills(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """Stages killed at random moments, by SIGKILL, SIGTERM and SIGINT in turn, and run again"""
    work, chance = new("kills"), random.Random(0)
    seconds = work.run_all()
    expected, killed, completed = work.digests(), 0, 0
    while killed < KILLS:
        work.clear()
        for call in FLOW:
            # Long stages are hit several times before they may end: a short one that always ends first teaches nothing.
            for _ in range(1 + int(4 * seconds[call] / max(seconds.values()))):
                pid = work.start(call)
                time.sleep(chance.uniform(0, 0.9 * seconds[call]))
                number = SIGNALS[killed % len(SIGNALS)]
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, number)
                status = work.wait(pid)
                assert status in {0, 130, -number}, f"{call}: {status}: {work.said}"
                killed += status != 0
            if status != 0:
                work.run_all((call,))
        assert work.digests() == expected, "other bytes than without a kill"
        assert not work.half_written()
        completed += 1
        print(f"{killed} kills", flush=True)
    return f"{killed} kills over {completed} runs of the pipeline", "0 bytes differ from a run that was left alone"


def repro_killed(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """The whole process group of `dvc repro` killed, as at a power loss, while it trains"""
    work, steps = new("repro-killed"), []
    work.make_repository()
    work.repro()
    expected = work.digests()
    for _ in range(3):
        shutil.rmtree(work.folder / "models")
        process = work.dvc("repro", "--force", "--single-item", "train")
        while not work.checkpoints():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        said = work.dvc("repro", "--force", "--single-item", "train").communicate()[0]
        steps.append(int(resumed_from(said)))
        assert work.digests() == expected
    assert "Running stage" not in work.repro()
    return "3 times", f"0 bytes differ; training went on from steps {', '.join(map(str, steps))} of 60"


def survivor(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """A trainer still at work, as one that has outlived a killed `dvc`, and `dvc repro` again"""
    work = new("survivor")
    work.make_repository()
    work.repro()
    expected = work.digests()
    work.project.set(runtime={"checkpoint_steps": 1})
    shutil.rmtree(work.folder / "models")
    pid = work.start("train_lora.py")
    while not work.checkpoints():
        time.sleep(0.005)
    os.kill(pid, signal.SIGSTOP)
    process = work.dvc("repro", "--force", "--single-item", "train")
    said = process.communicate()[0]
    assert process.returncode != 0 and f"process {pid} is already at this stage" in said, said
    os.kill(pid, signal.SIGCONT)
    assert work.wait(pid) == 0
    assert work.digests() == expected
    return "once", f'nothing: the second one stopped ("process {pid} is already at this stage"), the first ended as ever'


def two_at_once(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """Two `dvc repro` at once"""
    work = new("two")
    work.make_repository()
    processes = [work.dvc("repro") for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes[0] == 0, said
    assert "Running stage" not in work.repro()
    plain = new("two-plain")
    plain.run_all()
    assert work.digests() == plain.digests()
    refused = next((line for text in said for line in text.splitlines() if line.startswith("ERROR")), "both ended well")
    return "once", f'nothing: the outs are those of one run; the second was told "{refused.replace(f"{work.folder}/", "")[:90]}"'


def other_inputs(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """Params or data changed after a kill: the checkpoint is of other inputs"""
    changes = {
        "params": lambda work: work.project.set(train={"learning_rate": 1e-4}),
        "data": lambda work: (work.project.set(dataset={"train_share": 0.5}), work.run_all(FLOW[:2])),
    }
    for name, change in changes.items():
        work = new(f"other-{name}")
        work.stop_training_at_a_checkpoint()
        change(work)
        assert work.run("train_lora.py") == 0 and resumed_from(work.said) is None, work.said
    work = new("other-none")
    work.stop_training_at_a_checkpoint()
    assert work.run("train_lora.py") == 0 and resumed_from(work.said) is not None
    return "once each", "the steps before the kill, rightly: training began anew (and went on where nothing had changed)"


def damaged_checkpoint(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """The last checkpoint cut off before it was complete; a journal of answers cut off in a line"""
    work = new("damaged")
    work.run_all()
    expected = work.digests()
    work.clear()
    work.stop_training_at_a_checkpoint()
    last = max(work.checkpoints(), key=lambda path: int(path.parent.name.rsplit("-", 1)[1])).parent
    (last / "complete").unlink()
    weights = last / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert work.run("train_lora.py") == 0
    went_on = resumed_from(work.said)
    assert went_on is not None and went_on != last.name.rsplit("-", 1)[1]
    pid = work.start("predict.py tuned")
    while not any(path.read_bytes().count(b"\n") for path in work.folder.glob("runs/resume/predict-*/answers.jsonl")):
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    work.wait(pid)
    for path in work.folder.glob("runs/resume/predict-*/answers.jsonl"):
        path.write_bytes(path.read_bytes().rpartition(b"\n")[0] + b'\n[3, "cut')
    work.run_all(FLOW[3:])
    assert work.digests() == expected
    return "once each", "0 bytes differ; training went on from the checkpoint before"


def full_disk(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """The disk full while a checkpoint is saved, and while the adapter is written (a file system of 700 KiB)"""
    if os.geteuid():
        return "not run: it needs root, to mount a small file system", ""
    work, found = new("disk"), []
    work.run_all()
    expected = work.digests()
    for place in ("runs", "models"):
        shutil.rmtree(work.folder / place)
        (work.folder / place).mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", work.folder / place], check=True)
        try:
            with open(work.folder / place / "ballast", "wb", buffering=0) as ballast, contextlib.suppress(OSError):
                while place == "models" or ballast.tell() < 660 * 1024:  # a checkpoint begins well, and does not end
                    ballast.write(bytes(1024))
            status = work.run("train_lora.py")
            assert status == 2, f"{status}: {work.said}"
            line = work.said.strip().splitlines()[-1]
            assert "space" in line, line
            found.append(line.split(": ", 1)[1])
            assert not work.half_written()
        finally:
            subprocess.run(["umount", work.folder / place], check=True)
        work.run_all(FLOW[2:])
        assert work.digests() == expected
    return (
        "once each",
        f'nothing: exit 2, "{found[0].split(";")[0][:70]}...", nothing half-written, and after making room the same bytes',
    )


def clock_jumps(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """The clock jumps: every file's time ten years ahead, then ten years back; a checkpoint from the future"""
    work = new("clock")
    work.make_repository()
    work.repro()
    for years in (10, -10):
        moment = time.time() + years * 365 * 86400
        for path in work.folder.rglob("*"):
            if path.is_file() and ".git" not in path.parts and ".dvc" not in path.parts:
                os.utime(path, (moment, moment))
        assert "Running stage" not in work.repro()
    expected = work.digests()
    other = new("clock-checkpoint")
    other.stop_training_at_a_checkpoint()
    for path in other.folder.glob("runs/**/*"):
        os.utime(path, (2**31, 2**31))
    assert other.run("train_lora.py") == 0 and resumed_from(other.said), other.said
    other.run_all(FLOW[3:])
    assert other.digests() == expected
    return "three times", "nothing: no stage ran again, and training went on from the checkpoint"


def read_only(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """Outs' folders that may not be written to"""
    if os.geteuid():
        return "not run: it needs root, to run a stage as another user", ""
    work = new("read-only")
    work.run_all(FLOW[:5])
    for call, place in (("fetch_dataset.py", "data/raw"), ("train_lora.py", "models"), ("predict.py tuned", "predictions")):
        work.hand_over()
        (work.folder / place).chmod(0o555)
        before = work.digests()
        assert work.wait(work.start(call, NOBODY)) == 2 and work.said.strip().splitlines()[-1].count(place) >= 1, work.said
        (work.folder / place).chmod(0o755)
        assert work.digests() == before
    return "three stages", "nothing: exit 2 with one line that names the folder; the outs that were there are untouched"


def odd_paths(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """A project in a folder with spaces, quotes and non-ASCII letters"""
    plain, odd = new("plain"), new("Spiele „für“ alle/it's 100 % 宝可梦")
    for work in (plain, odd):
        work.run_all()
    assert odd.digests() == plain.digests()
    return "every stage", "0 bytes differ from those of a plain folder"


def another_user(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """Another user runs the pipeline"""
    if os.geteuid():
        return "not run: it needs root, to run a stage as another user", ""
    mine, theirs = new("mine"), new("theirs")
    mine.run_all()
    theirs.hand_over()
    for call in FLOW:
        assert theirs.wait(theirs.start(call, NOBODY)) == 0, theirs.said
    assert theirs.digests() == mine.digests()
    return "every stage", "0 bytes differ"


def small_splits(new: Callable[[str], Workspace]) -> tuple[str, str]:
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
    return "once each", 'nothing: one row is enough; none is refused with exit 2 ("... validation.csv has no row ...")'


def large_dataset(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """A dataset a hundred times as large: 100 x 600 rows fetched from CSV, and as many predictions scored"""
    figures = []
    for factor in (1, 100):
        work = new(f"large-{factor}")
        for split in ("train", "validation", "test"):
            rows = (
                [f"{split}-{i}", "inform(name[Doom], genres[shooter])", f"Doom {i} is a shooter."] for i in range(600 * factor)
            )
            with open(work.folder / f"data/local/{split}.csv", "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["gem_id", "mr", "ref"], *rows])
        work.project.set(dataset={"source": "local"})
        predictions = (
            {"id": str(i), "sentence": "Doom.", "reference": "inform(name[Doom])", "prediction": "inform(name[Quake])"}
            for i in range(600 * factor)
        )
        write_jsonl(work.folder / "predictions/tuned.jsonl", predictions)
        for call, stage in (("fetch_dataset.py", "fetch"), ("score.py tuned", "score-tuned")):
            done = subprocess.run(
                # By way of a shell: a process counts as its own the memory of the one that started it, and this one is large.
                ["sh", "-c", f"{sys.executable} stages/{call}; exit $?"],
                cwd=work.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            figures.append(json.loads((work.folder / f"runs/{stage}.json").read_text())["peak_memory_mib"])
    fetch, score, fetch_100, score_100 = figures
    return "once", (f"nothing; peak memory of fetch {fetch} MiB, then {fetch_100}; of score {score} MiB, then {score_100}")


def nan_loss(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """Training diverges: the loss becomes NaN or infinite"""
    work = new("nan")
    work.project.set(train={"learning_rate": 1e30, "max_grad_norm": 1e30, "warmup": 0, "log_steps": 1})
    work.run_all(FLOW[:2])
    assert work.run("train_lora.py") == 2, work.said
    line = work.said.strip().splitlines()[-1]
    assert "step" in line and "learning rate" in line and not (work.folder / "models").exists()
    return "once", f'the training, rightly: exit 2, "{line.removeprefix("train: ")[:95]}..."; no adapter is written'


def ctrl_c(new: Callable[[str], Workspace]) -> tuple[str, str]:
    """Ctrl-C at each stage, in its middle"""
    work = new("ctrl-c")
    seconds = work.run_all()
    expected = work.digests()
    work.clear()
    stopped = 0
    for call in FLOW:
        pid = work.start(call)
        time.sleep(0.5 * seconds[call])
        os.killpg(pid, signal.SIGINT)
        status = work.wait(pid)
        assert status in {0, 130} and not work.half_written(), f"{call}: {status}: {work.said}"
        assert "Traceback" not in work.said, work.said
        stopped += status == 130
        assert work.run(call) == 0
    assert work.digests() == expected
    return f"{len(FLOW)} stages, of which {stopped} were still running", "0 bytes differ; exit 130, nothing half-written"


FAULTS = {
    function.__name__: function
    for function in (
        kills, repro_killed, survivor, two_at_once, ctrl_c, other_inputs, damaged_checkpoint, full_disk, read_only, nan_loss,
        clock_jumps, odd_paths, another_user, small_splits, large_dataset,
    )
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Break runs, and write what was lost into docs/reliability.md.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"these rows alone, of {', '.join(FAULTS)}")
    chosen = parser.parse_args().rows or list(FAULTS)
    if set(chosen) - set(FAULTS):
        parser.error(f"no such row: {', '.join(set(chosen) - set(FAULTS))}")
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:

            def new(workspace: str, folder=folder) -> Workspace:
                return Workspace(Path(folder) / workspace / "project" if "/" not in workspace else Path(folder) / workspace)

            started = time.perf_counter()
            often, lost = FAULTS[name](new)
            print(f"{name}: {often}: {lost} ({time.perf_counter() - started:.0f} s)", flush=True)
            write_row(name, f"| {FAULTS[name].__doc__} | {often} | {lost} | `python tests/faults.py {name}` |")
    return 0


def write_row(name: str, row: str) -> None:
    """Put a fault's row, in place of an earlier one, and what it was measured on, between the document's two marks."""
    machine = describe_machine()
    note = f"Written by `make faults`, on {machine['processor']}, {machine['cores']} cores; torch {machine['versions']['torch']}."
    begin, end = "<!-- faults: begin -->\n", "<!-- faults: end -->"
    text = DOCUMENT.read_text(encoding="utf-8")
    head, tail = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    rows = {
        line.rsplit("`", 2)[1].split()[-1]: line
        for line in text[len(head) : -len(tail)].splitlines()
        if "tests/faults.py" in line
    }
    rows[name] = row
    table = ["| fault | how often | what was lost | alone |", "|---|---|---|---|", *(rows[key] for key in FAULTS if key in rows)]
    DOCUMENT.write_text("\n".join([head + note, "", *table, tail]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
