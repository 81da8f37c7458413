"""Break the library in the ways of tools/mutations.yaml, one by one, and count how many the tests see.

python tools/mutations.py [WORD ...]: only mutations whose module or text has one of the words

A mutation is killed by the fast tier or by `make test`. First its package's fast tests run, then all fast
ones, then its package's slow ones, then all slow ones. Each test process is a fork of one that has imported
the libraries. Exit status 1: fewer are killed than the goals say, or the list no longer fits the code.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import yaml

ROOT = Path(__file__).parents[1]
LIBRARY = "src/viggo_pipe"
GOALS = {"fast": 0.6, "all": 0.9}  # shares of all mutations
WORKERS = int(os.environ.get("WORKERS", "2"))
LONGEST = 900  # seconds of a test run: what hangs is killed too
SLOW = "slow and not gpu and not viggo and not browser and not remotes"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        *(
            "torch",
            "transformers.trainer",
            "transformers.models.mistral.modeling_mistral",
            "peft",
            "datasets",
        ),
        *("bitsandbytes", "evaluate", "llguidance.hf", "scipy.stats", "pydantic", "hypothesis", "pytest"),
    ]
)


def main() -> int:
    mutations = [
        (module, before, after)
        for module, changes in yaml.safe_load((ROOT / "tools/mutations.yaml").read_text()).items()
        for before, after in changes.items()
        if any(word in f"{module} {before}" for word in sys.argv[1:] or [""])
    ]
    stale = [
        f"{module}: {before!r}"
        for module, before, _ in mutations
        if (ROOT / LIBRARY / module).read_text(encoding="utf-8").count(before) != 1
    ]
    if stale:
        print("not once in the code; correct tools/mutations.yaml:", *stale, sep="\n  ", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(WORKERS):
            copies.put(project := _copy(Path(folder, str(number), "project")))
        if _fails(project, ["tests"]) or _fails(project, ["tests", "-m", SLOW]):
            print("a test fails without a mutation", file=sys.stderr)
            return 1
        with ThreadPoolExecutor(WORKERS) as pool:
            killed = list(pool.map(lambda mutation: _killer(copies, *mutation), mutations))
    fast, by_any = (sum(tier in tiers for tier in killed) for tiers in (("fast",), ("fast", "slow")))
    print(f"killed: {fast} of {len(killed)} by the fast tier, {by_any} by all tests")
    return int(fast < GOALS["fast"] * len(killed) or by_any < GOALS["all"] * len(killed))


def _copy(project: Path) -> Path:
    """The files that git knows, or would add, at `project`."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, names.stdout.split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project / name)
    for beside in ("git", "venv"):  # which some tests use
        (project / f".{beside}").symlink_to(ROOT / f".{beside}")
    if (ROOT / "../shared").is_dir():
        (project / "../shared").symlink_to((ROOT / "../shared").resolve())
    return project


def _killer(copies: SimpleQueue[Path], module: str, before: str, after: str) -> str | None:
    """The tier whose tests see the mutation, if any does."""
    project = copies.get()
    path = project / LIBRARY / module
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(before, after), encoding="utf-8")
    package = f"tests/{module.split('/')[0]}"
    started, found = time.monotonic(), None
    try:
        for tier, arguments in (
            ("fast", [package]),
            ("fast", ["tests", f"--ignore={package}"]),
            ("slow", [package, "-m", SLOW]),
            ("slow", ["tests", f"--ignore={package}", "-m", SLOW]),
        ):
            if _fails(project, arguments):
                found = tier
                break
    finally:
        path.write_text(whole, encoding="utf-8")
        copies.put(project)
    one_line = " ".join(f"{before!r} -> {after!r}".split())
    print(f"{found or 'SURVIVED':8} {time.monotonic() - started:5.0f} s  {module}: {one_line}", flush=True)
    return found


def _fails(project: Path, arguments: list[str]) -> bool:
    process = _context.Process(target=_test, args=(str(project), arguments))
    process.start()
    process.join(LONGEST)
    hangs = process.is_alive()
    if hangs:
        process.kill()
        process.join()
    return hangs or process.exitcode not in (0, 5)  # 5: there is no such test


def _test(folder: str, arguments: list[str]) -> None:
    os.chdir(folder)
    sys.dont_write_bytecode = True
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    import pytest

    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]))


if __name__ == "__main__":
    sys.exit(main())
