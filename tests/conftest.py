import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def viggo_folder():
    """The folder of ViGGO's published CSV files, for tests under the marker `viggo`: VIGGO_DATA names it."""
    folder = Path(os.environ.get("VIGGO_DATA") or Path(__file__).parents[1] / ".." / "shared" / "viggo")
    if not (folder / "train.csv").is_file():
        pytest.skip("the real ViGGO files are not here; VIGGO_DATA names their folder")
    return folder
