"""Several processes end together, with one exit status and one line, whatever happens to them."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from helpers.imports import ROOT
from helpers.processes import children_of, is_alive, listening_addresses, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="finds processes in /proc")

SCRIPT = str(ROOT / "tests/helpers/stage_in_processes.py")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT / "src"),
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
INTERRUPTED = "train: interrupted, and nothing is half-written; run again to go on\n"
AGAIN = "the others were ended: run again to go on\n"
KILLED = "train: process {} of 2 was killed by SIGKILL (out of memory?); " + AGAIN

# What each process does; the exit status; all of stderr, or its last line under a traceback.
ENDS = {
    "bad input beside a process that hangs": (
        "if rank == 0: wait_for('started-1'); raise InputError('no\\n rows')\nhang_in_c()",
        2,
        "train: no rows\n",
    ),
    "bad input in both, of which rank 0 has more to say": (
        "if rank == 0: wait_for(error_file(1)); time.sleep(0.2)\nraise InputError(f'said by {rank}')",
        2,
        "train: said by 0\n",
    ),
    "bad input, and an error in its consequence": (
        "if rank == 1: raise InputError('no rows')\nwait_for(error_file(1)); 1 / 0",
        2,
        "train: no rows\n",
    ),
    "an error, and another one in its consequence": (
        "if rank == 1: 1 / 0\nwait_for(error_file(1)); raise RuntimeError('connection closed by peer')",
        1,
        "ZeroDivisionError: division by zero\n",
    ),
    "rank 0 killed": ("if rank == 0: os.kill(os.getpid(), 9)\ntime.sleep(60)", 2, KILLED.format(1)),
    "rank 1 killed, and an error in its consequence": (
        "if rank == 1: os.kill(os.getpid(), 9)\nwait_for('started-1'); time.sleep(0.2); 1 / 0",
        2,
        KILLED.format(2),
    ),
    "rank 1 interrupted": ("if rank == 1: os.kill(os.getpid(), 15)\ntime.sleep(60)", 130, INTERRUPTED),
    "rank 1 gone without a word": (
        "if rank == 1: os._exit(7)\ntime.sleep(60)",
        2,
        "train: process 2 of 2 ended with exit status 7; run in one process to see why\n",
    ),
    "rank 0 ended, and rank 1 hangs": (
        "import viggo_pipe.training.worker as worker; worker._SECONDS_AFTER_RANK_0 = 1\n"
        "if rank == 1: hang_in_c()",
        2,
        "train: process 2 was still at work 1 s after process 1 had ended, and was ended; run again\n",
    ),
    "an error, and rank 1 stopped, which torchrun kills after 30 s": (
        "if rank == 1: os.kill(os.getpid(), signal.SIGSTOP)\nwait_for('started-1'); time.sleep(0.2); 1 / 0",
        1,
        "ZeroDivisionError: division by zero\n",
    ),
}


def run(folder: Path, code: str, count: int = 2, **environment: str) -> subprocess.CompletedProcess:
    """Run the stage to its end in `folder`."""
    return subprocess.run(
        [sys.executable, SCRIPT, str(count), code],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def start(tmp_path):
    """Starts the stage in `tmp_path`; it and its workers are ended with the test."""
    started: list[subprocess.Popen] = []

    def start(code: str, prepare=None, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, SCRIPT, "2", code],
            cwd=tmp_path,
            env=ENVIRONMENT | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def workers(process: subprocess.Popen) -> list[int]:
    """The two workers of the stage, once both are started."""
    wait_until(lambda: process.poll() is not None or len(children_of(process.pid)) == 2)
    return children_of(process.pid)


def begun(folder: Path) -> bool:
    """Whether both workers have come to the stage's work."""
    return all((folder / f"started-{rank}").exists() for rank in range(2))


@pytest.fixture(scope="module")
def ends(tmp_path_factory) -> dict[str, Future]:
    """What comes of each of `ENDS`, which wait more than they compute and are run side by side."""
    with ThreadPoolExecutor(4) as pool:
        return {
            case: pool.submit(run, tmp_path_factory.mktemp("ends"), code)
            for case, (code, _, _) in ENDS.items()
        }


@pytest.mark.slow
@pytest.mark.parametrize("case", ENDS)
def test_whatever_a_process_fails_with_is_one_line_and_one_exit_status(ends, case):
    _, status, line = ENDS[case]
    done = ends[case].result()
    assert done.returncode == status, done.stderr
    if status == 1:
        assert done.stderr.startswith("Traceback") and done.stderr.endswith(line)
        assert done.stderr.count("Traceback") == 1
    else:
        assert done.stderr == line


@pytest.mark.slow
def test_rank_0_alone_is_heard_and_writes_what_the_run_cost(tmp_path):
    done = run(tmp_path, "print('out', rank); print('err', rank, file=sys.stderr)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out 0\n", "err 0\n")
    assert json.loads((tmp_path / "runs/train.json").read_text())["rank"] == 0


def test_one_process_launches_nothing_and_imports_no_elastic_machinery(tmp_path):
    code = "assert os.getppid() == int(os.environ['TEST']) and not {'torch', 'subprocess'} & set(sys.modules)"
    done = run(tmp_path, code, count=1, TEST=str(os.getpid()))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "runs/train.json").read_text())["rank"] == 0


@pytest.mark.parametrize("empty", [{"WORLD_SIZE": ""}, {"RANK": "", "LOCAL_RANK": "", "WORLD_SIZE": ""}])
def test_an_empty_variable_counts_as_unset(tmp_path, empty):
    done = run(
        tmp_path, "assert not {'RANK', 'LOCAL_RANK', 'WORLD_SIZE'} & set(os.environ)", count=1, **empty
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_another_launcher_started_takes_part(tmp_path):
    launched = {"LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    alone = partial(run, tmp_path, "print(rank)", WORLD_SIZE="2", **launched)
    other, first = alone(RANK="1"), alone(RANK="0")
    assert [(done.returncode, done.stdout, done.stderr) for done in (first, other)] == [
        (0, "0\n", ""),
        (0, "", ""),
    ]
    assert json.loads((tmp_path / "runs/train.json").read_text())["rank"] == 0


HALF_WRITTEN = """
with atomic_write(f"out-{rank}") as file:
    file.write("half")
    wait_for("never")
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_with_one_line_and_nothing_half_written(tmp_path, start, number):
    process = start(HALF_WRITTEN)
    numbers = workers(process)
    wait_until(lambda: begun(tmp_path) and len(list(tmp_path.glob(".out-*"))) == 2)
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", INTERRUPTED) and process.returncode == 130
    assert not any(map(is_alive, numbers))
    assert {path.name for path in tmp_path.iterdir()} == {"started-0", "started-1"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_that_import_or_hang_do_not_outlive_their_launcher(tmp_path, start, number):
    process = start("hang_in_c()", SLOW_RANK="0")
    wait_until(lambda: (tmp_path / "importing").exists() and (tmp_path / "started-1").exists())
    numbers = workers(process)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert said == (INTERRUPTED if number == signal.SIGINT else "")
    wait_until(lambda: not any(map(is_alive, numbers)), seconds=20)
    assert not (tmp_path / "started-0").exists()


@pytest.mark.slow
def test_a_stopped_worker_ends_with_its_launcher(tmp_path, start):
    process = start("hang_in_c()")
    numbers = workers(process)
    wait_until(lambda: begun(tmp_path))
    os.kill(numbers[1], signal.SIGSTOP)
    process.kill()
    wait_until(lambda: not any(map(is_alive, numbers)), seconds=20)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["time.sleep(60)", "raise InputError('no rows')"])
def test_output_that_nobody_reads_holds_up_no_end(tmp_path, start, code):
    process = start(f"if rank == 0: print('x' * 300_000)\n{code}")
    wait_until(lambda: begun(tmp_path))
    if "sleep" in code:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) == (130 if "sleep" in code else 2)
    assert process.stderr.read() == (INTERRUPTED if "sleep" in code else "train: no rows\n")


@pytest.mark.slow
def test_a_port_that_is_taken_is_not_used(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(
            tmp_path, TALK.replace('wait_for("seen")', "pass"), MASTER_ADDR="127.0.0.1", MASTER_PORT=port
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_an_ignored_signal_stays_ignored(tmp_path, start):
    process = start("wait_for('go-on')", prepare=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_until(lambda: begun(tmp_path))
    process.send_signal(signal.SIGINT)
    (tmp_path / "go-on").touch()
    assert process.communicate(timeout=30) == ("", "") and process.returncode == 0


TALK = """
import torch.distributed as dist
dist.init_process_group("gloo")
dist.barrier()
with atomic_write(f"ready-{rank}"):
    wait_for("seen")
dist.barrier()
"""


@pytest.mark.slow
def test_processes_listen_on_the_loopback_interface_alone(tmp_path, start):
    process = start(TALK)
    wait_until(lambda: len(list(tmp_path.glob(".ready-*"))) == 2 or process.poll() is not None)
    loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    assert listening_addresses([process.pid]) == {loopback}
    assert listening_addresses(workers(process)) <= {loopback}
    (tmp_path / "seen").touch()
    assert process.communicate(timeout=30) == ("", "") and process.returncode == 0
