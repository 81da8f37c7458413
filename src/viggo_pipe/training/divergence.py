"""What a training that diverges leaves: the adapter of its last good checkpoint, where DVC does not look."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.adapter import save_checkpoints_adapter
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.training.callback import Diverged
from viggo_pipe.training.distributed import is_main_process
from viggo_pipe.training.resumable_trainer import complete_checkpoints, step_of

KEPT = Path("runs/diverged")


@contextmanager
def keeping_last_good(base: BaseCheckpoint, prompt: PromptSettings) -> Iterator[None]:
    """If the training in the block diverges, write the adapter of its last good checkpoint to `KEPT`.

    Raises:
        InputError: the training diverges. The line says where the adapter is.
    """
    try:
        yield
    except Diverged as error:
        if not is_main_process():
            raise
        good = [
            path for path in complete_checkpoints(error.checkpoints) if step_of(path) <= error.last_good_step
        ]
        if not good:
            shutil.rmtree(KEPT, ignore_errors=True)  # another run's
            raise InputError(f"{error}; no checkpoint was saved before that (runtime.save_steps)") from error
        save_checkpoints_adapter(good[-1], base, prompt, KEPT)
        raise InputError(f"{error}; the adapter as of step {step_of(good[-1])} is in {KEPT}") from error
