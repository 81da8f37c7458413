"""The folder that downloaded and converted models are kept in."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

from platformdirs import user_cache_dir

from viggo_pipe.core.locks import file_lock


def cache_folder() -> Path:
    """VIGGO_CACHE, or the user's cache folder."""
    return Path(os.environ.get("VIGGO_CACHE") or user_cache_dir("viggo-pipe"))


def cache_lock(path: Path) -> AbstractContextManager[None]:
    """Hold the lock of `path`, a file in the cache, in the block.

    Raises:
        InputError: as `file_lock`.
    """

    def say() -> None:
        print(f"waiting for another process, which holds {path}", flush=True)

    return file_lock(path, "set VIGGO_CACHE to a folder on a disk that has locks", say)
