"""The folder that downloaded and converted models are kept in."""

import os
from pathlib import Path

from platformdirs import user_cache_dir


def cache_folder() -> Path:
    """VIGGO_CACHE, or the user's cache folder."""
    return Path(os.environ.get("VIGGO_CACHE") or user_cache_dir("viggo-pipe"))
