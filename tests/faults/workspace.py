"""A project to break: the pipeline's own, with a tiny Mistral in NF4 and dropout.

Stages are run as processes of their own, forked from this one, which has imported the libraries; where it
says `dvc repro`, by DVC.
"""

import contextlib
import hashlib
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: its threads do not survive a fork

from helpers.dvc_project import git
from helpers.fetch_stage import hub_free_environment
from helpers.imports import ROOT
from helpers.project import FLOW, Project

from viggo_pipe.training.resumable_trainer import complete_checkpoints

NOBODY = 65534
OUTS = (
    "data/raw", "data/tokenized", "models/adapter", "metrics", "plots", "predictions", "reports",
)  # fmt: skip
_MAKE_MODEL = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
from helpers.tiny_model import write_tiny_mistral
write_tiny_mistral(Path(sys.argv[2]))
"""


class Workspace:
    """A project to break, in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.project = Project(folder)
        model = folder.parent / "tiny-mistral"
        if not model.exists():
            # In a process of its own, so that none of the libraries has begun to work in the one that forks
            # the stages.
            subprocess.run(
                [sys.executable, "-c", _MAKE_MODEL, str(ROOT / "tests"), str(model)],
                check=True,
                capture_output=True,
            )
        self.project.set(
            dataset={"sample": {"train": 60, "validation": 4, "test": 6, "seed": 0}},
            model={"source": "local", "path": str(model), "sha256": None},
            tokenize={"max_length": 256},
            quantize={"bits": 4},
            lora={"r": 4, "upper_layers": 1, "lora_dropout": 0.1},
            train={
                "per_device_train_batch_size": 2,
                "num_train_epochs": 2,
                "logging_steps": 5,
                "eval_steps": 15,
                "load_best_model_at_end": True,
            },
            generate={"max_new_tokens": 12, "batch_size": 2},
            robustness={"rows": 3},
            score={"bootstrap_resamples": 200},
            runtime={"progress": "plain", "save_steps": 5},
        )
        self.said = ""

    def start(self, call: str, user: int | None = None) -> int:
        """Begin a stage ("predict.py tuned") in a forked process, the leader of a group of its own; return
        its id.
        """
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

    def begin(self, *command: str, **environment: str) -> subprocess.Popen:
        """Begin a command in a process that is no fork of this one, in `environment`, and with the settings
        of no Hub.
        """
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=hub_free_environment(self.folder.parent) | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

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
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(files)
        }

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
        shutil.copytree(
            ROOT / "src", self.folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        shutil.copy(ROOT / ".gitignore", self.folder)
        git(self.folder, "init", "--quiet")
        assert self.dvc("init", "--quiet").wait() == 0

    def checkpoints(self) -> list[Path]:
        """Those of the training that can be gone on with, the last one at the end."""
        return [
            path
            for scratch in self.folder.glob("runs/resume/train-*")
            for path in complete_checkpoints(scratch)
        ]

    def stop_training_at_a_checkpoint(self) -> None:
        """SIGKILL the training once two checkpoints are complete."""
        self.run_all(FLOW[:2])
        pid = self.start("train_lora.py")
        while len(self.checkpoints()) < 2:
            time.sleep(0.005)
        os.killpg(pid, signal.SIGKILL)
        assert self.wait(pid) == -signal.SIGKILL


NewWorkspace = Callable[[str], Workspace]  # by a name, which may be a path of several folders


def resumed_from(said: str) -> str | None:
    """The checkpoint that training says it goes on from."""
    return next(
        (line.rsplit("-", 1)[1] for line in said.splitlines() if line.startswith("going on from")), None
    )
