"""Scratch folders that outlive a killed stage. The next run on the same inputs goes on where it stopped.

They lie under runs/, which git ignores and DVC does not know. DVC deletes outs before a run, and would resume
a persistent out on other inputs too (dvc#10412).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.locks import file_lock

_FOLDER = Path("runs/resume")


@contextmanager
def resumable(stage: str, digest: str) -> Iterator[Path]:
    """Yield the scratch folder of `stage` on the inputs with `digest`.

    It is deleted when the block ends without error. What runs on other inputs left is deleted at once: it can
    never be resumed.

    Raises:
        InputError: another process runs this stage here, such as one that outlived its `dvc repro`; or the
            folder cannot be written to or locked.
    """
    folder = _FOLDER / f"{stage}-{digest[:16]}"
    owner = _FOLDER / f"{stage}.pid"

    def refuse() -> None:
        pid = owner.read_text(encoding="utf-8") if owner.exists() else "unknown"
        raise InputError(
            f"process {pid} is already at this stage, here; wait for it, or stop it (kill {pid}) and run "
            "again: it will go on from there"
        )

    elsewhere = "put the project, or its folder runs, on a disk that has locks"
    with file_lock(_FOLDER / f"{stage}.lock", elsewhere, refuse):
        owner.write_text(str(os.getpid()), encoding="utf-8")
        for other in _FOLDER.glob(f"{stage}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
        owner.unlink(missing_ok=True)
