"""The real Hub client against a server on this machine, mostly through stages/fetch_dataset.py."""

import csv
import hashlib
import io
import json
import re
import socket
import subprocess
import sys

import pytest
from helpers.fetch_stage import (
    PUBLISHED,
    REVISION,
    SPLITS,
    hub_free_environment,
    raw_rows,
    refused,
    run_fetch,
    succeeded,
)
from helpers.hub_server import serving

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.hub import download_file

TOKEN = "hf_" + "notASecretAtAll" * 2
RESOLVE = f"datasets/GEM/viggo/resolve/{REVISION}"
NOBODY = "http://127.0.0.1:9"  # the port of the protocol discard, which nobody serves


def csv_bytes(split, rows=3):
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["gem_id", "mr", "ref"])
    for number in range(rows):
        name = f"Pokémon {number}"
        writer.writerow([f"{split}-{number}", f"inform(name[{name}], rating[good])", f"{name}, «good»."])
    return file.getvalue().encode("utf-8-sig")


@pytest.fixture
def hub():
    with serving() as running:
        publish(running, {split: csv_bytes(split) for split in SPLITS})
        yield running


def publish(hub, contents):
    hub.files = {f"{RESOLVE}/{split}.csv": content for split, content in contents.items()}


def sums(hub, **wrong):
    return {
        split: hashlib.sha256(hub.files[f"{RESOLVE}/{split}.csv"]).hexdigest() for split in SPLITS
    } | wrong


def fetch(folder, hub, sha256=None, **environment):
    dataset = {"source": "hub", "sha256": sha256 or sums(hub)}
    return run_fetch(folder, dataset, **{"HF_ENDPOINT": hub.address} | environment)


def test_downloads_verifies_and_writes(tmp_path, hub):
    assert succeeded(done := fetch(tmp_path, hub)), done.stderr
    assert done.stdout.count(": 3 rows (hub)\n") == 3
    assert raw_rows(tmp_path, "test")[2] == {
        "id": "test-2",
        "sentence": "Pokémon 2, «good».",
        "meaning_representation": "inform(name[Pokémon 2], rating[good])",
    }
    # A filled cache needs no Hub.
    (tmp_path / "data/raw/test.jsonl").unlink()
    assert succeeded(fetch(tmp_path, hub, HF_HUB_OFFLINE="1"))
    assert len(raw_rows(tmp_path, "test")) == 3


def test_a_wrong_checksum_names_both_sums(tmp_path, hub):
    right, wrong = sums(hub)["validation"], "0" * 64
    line = refused(fetch(tmp_path, hub, sums(hub, validation=wrong)), tmp_path)
    assert "dataset.sha256.validation" in line and right in line and wrong in line


@pytest.mark.slow
def test_a_damaged_cache_is_mended_as_the_message_says(tmp_path, hub):
    assert succeeded(fetch(tmp_path, hub))
    for written in (tmp_path / "data/raw").iterdir():
        written.unlink()
    (cached,) = (tmp_path / "hf").rglob("snapshots/*/test.csv")
    cached.resolve().write_bytes(csv_bytes("test", rows=2))
    line = refused(fetch(tmp_path, hub), tmp_path)
    assert re.findall(r"delete the cached (\S+) and", line) == [str(cached.resolve())]
    cached.resolve().unlink()
    assert succeeded(fetch(tmp_path, hub))


@pytest.mark.parametrize(
    ("answer", "token", "expected"),
    [
        (
            (404, "EntryNotFound"),
            None,
            f"train.csv of the dataset GEM/viggo: not in revision {REVISION} (404)",
        ),
        (
            (401, "GatedRepo"),
            None,
            "the dataset GEM/viggo is gated, and there is no token (401); accept the terms",
        ),
        ((403, "GatedRepo"), TOKEN, "is gated, and your token does not open it (403); accept the terms"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path, hub, answer, token, expected):
    hub.refusals[None] = answer
    line = refused(fetch(tmp_path, hub, **({"HF_TOKEN": token} if token else {})), tmp_path)
    assert expected in line
    assert TOKEN not in line
    assert hub.authorizations == {token and f"Bearer {token}"}


def test_a_refused_third_file_leaves_nothing(tmp_path, hub):
    hub.refusals[f"{RESOLVE}/test.csv"] = (404, "EntryNotFound")
    assert "test.csv of the dataset GEM/viggo" in refused(fetch(tmp_path, hub), tmp_path)


def test_an_interrupted_download_is_taken_up_again(tmp_path, hub):
    hub.interruptions[f"{RESOLVE}/train.csv"] = 1
    assert succeeded(done := fetch(tmp_path, hub)), done.stderr
    assert hub.requests["GET", f"{RESOLVE}/train.csv"] == 2
    assert len(raw_rows(tmp_path, "train")) == 3


# The client tries again, for five seconds, where a connection ends too early, but not where it is reset.
@pytest.mark.parametrize("reset", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_download_that_always_breaks_off(tmp_path, hub, reset):
    hub.interruptions[f"{RESOLVE}/validation.csv"] = 10**6
    hub.reset = reset
    line = refused(fetch(tmp_path, hub), tmp_path)
    assert "cannot fetch validation.csv of the dataset GEM/viggo from the Hub at 127.0.0.1:" in line
    assert ("Connection reset by peer" if reset else "the connection broke off") in line
    # What broke off does not stand in the way of the next run.
    hub.interruptions.clear()
    assert succeeded(fetch(tmp_path, hub))


def test_a_server_that_is_down(tmp_path, hub):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening: the connection is refused
        port = unused.getsockname()[1]
        address = f"http://user:{TOKEN}@127.0.0.1:{port}/path?key={TOKEN}"
        line = refused(fetch(tmp_path, hub, HF_ENDPOINT=address), tmp_path)
    assert f"from the Hub at 127.0.0.1:{port} (Connection refused); check the network" in line
    assert "HF_ENDPOINT" in line and "HF_HUB_OFFLINE=1" in line and "dataset.source" in line
    assert TOKEN not in line and "user" not in line


@pytest.mark.slow
def test_a_server_that_does_not_answer(tmp_path, hub):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        line = refused(fetch(tmp_path, hub, HF_ENDPOINT=address, HF_HUB_ETAG_TIMEOUT="1"), tmp_path)
    assert "(timed out)" in line or "(no answer in time)" in line


def test_something_that_is_not_the_hub(tmp_path, hub):
    hub.plain = True
    assert "is not the Hub; check HF_ENDPOINT" in refused(fetch(tmp_path, hub), tmp_path)


def test_offline_without_a_cache(tmp_path, hub):
    line = refused(fetch(tmp_path, hub, HF_HUB_OFFLINE="1"), tmp_path)
    assert "train.csv of the dataset GEM/viggo is not in the Hub's cache" in line and "unset it" in line
    assert not hub.requests


def test_a_cache_that_cannot_be_written(tmp_path, hub):
    (tmp_path / "occupied").write_text("")
    line = refused(fetch(tmp_path, hub, HF_HOME=str(tmp_path / "occupied" / "hf")), tmp_path)
    assert (
        "cannot write train.csv of the dataset GEM/viggo to the Hub's cache" in line and "set HF_HOME" in line
    )


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8", "ftp://127.0.0.1", "http://127.0.0.1:port", "http://[", "x:", ""]
)
def test_a_malformed_address(monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(InputError, match=r"HF_ENDPOINT must be an http\(s\) address") as caught:
        download_file("GEM/viggo", REVISION, "train.csv", "dataset")
    assert "\n" not in str(caught.value)


def call(folder, *calls, **environment):
    """Call functions of viggo_pipe.core.hub in one new process, with this environment; a result or a message
    for each.
    """
    code = (
        "import json, sys\n"
        "from viggo_pipe.core import errors, hub\n"
        "for name, *arguments in json.loads(sys.argv[1]):\n"
        "    try: print(getattr(hub, name)(*arguments))\n"
        "    except errors.InputError as error: print('InputError:', error)\n"
    )
    environment = hub_free_environment(folder) | environment
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(calls)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert succeeded(done), done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(calls), lines
    return lines


@pytest.mark.parametrize("token", [None, TOKEN])
def test_each_refusal_on_one_line(tmp_path, hub, token):
    login = "correct dataset.repo, or set HF_TOKEN or run `hf auth login`"
    refuses = "refuses access ({}); renew the token with `hf auth login` or in HF_TOKEN"
    expected = {
        (404, "RevisionNotFound"): f"knows no revision {REVISION} (404); correct dataset.revision",
        (404, "RepoNotFound"): login,
        (401, "RepoNotFound"): login,
        (401, None): refuses.format(401) if token else login,
        (403, None): refuses.format(403),
        (418, None): "answered with status 418; try again later",
    }
    calls = []
    for number, answer in enumerate(expected):
        hub.refusals[f"datasets/team/data-{number}/resolve/{REVISION}/train.csv"] = answer
        calls.append(("download_file", f"team/data-{number}", REVISION, "train.csv", "dataset"))
    calls.append(("download_file", "a/b/c", REVISION, "train.csv", "dataset"))
    lines = call(tmp_path, *calls, HF_ENDPOINT=hub.address, **({"HF_TOKEN": token} if token else {}))
    for line, words in zip(lines, [*expected.values(), "'a/b/c' is no repository's name"], strict=True):
        assert line.startswith("InputError: ") and words in line
        assert TOKEN not in line


def test_a_malformed_token_is_not_shown(tmp_path, hub):
    get = ("download_file", "team/data", REVISION, "train.csv", "dataset")
    (line,) = call(tmp_path, get, HF_ENDPOINT=hub.address, HF_TOKEN=f"{TOKEN}é")
    assert "HF_TOKEN has characters" in line and "hf_" not in line


def test_snapshots(tmp_path, hub):
    contents = {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"pickle"}
    hub.files = {f"team/model/resolve/{REVISION}/{name}": content for name, content in contents.items()}
    get = ("download_snapshot", "team/model", REVISION, ["*.json", "*.safetensors"])
    downloaded, nothing = call(tmp_path, get, (*get[:3], ["*.gguf"]), HF_ENDPOINT=hub.address)
    (folder,) = tmp_path.rglob("snapshots/*")
    assert downloaded == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert "has none of the files *.gguf" in nothing
    for environment in ({"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": NOBODY}):
        assert call(tmp_path, get, **environment) == [downloaded]


def test_snapshots_that_are_not_to_be_had(tmp_path, hub):
    # The listing of a gated repository is open to all, its files are not.
    hub.files = {f"team/open/resolve/{REVISION}/config.json": b"{}"}
    hub.refusals = {
        f"team/open/resolve/{REVISION}/config.json": (401, "GatedRepo"),
        f"api/models/team/gated/revision/{REVISION}": (401, "GatedRepo"),
        f"api/models/team/old/revision/{REVISION}": (404, "RevisionNotFound"),
    }
    calls = [("download_snapshot", f"team/{name}", REVISION, ["*.json"]) for name in ("open", "gated", "old")]
    opened, gated, old = call(tmp_path, *calls, HF_ENDPOINT=hub.address)
    assert "the model team/open is gated, and there is no token (401)" in opened
    assert "the model team/gated is gated" in gated
    assert "correct model.revision" in old
    assert "(Connection refused); check the network" in call(tmp_path, calls[2], HF_ENDPOINT=NOBODY)[0]
    offline = call(tmp_path, calls[2], HF_ENDPOINT=hub.address, HF_HUB_OFFLINE="1")[0]
    assert "the model team/old is not in the Hub's cache" in offline


@pytest.mark.viggo
def test_the_published_files(tmp_path, hub, viggo_folder):
    publish(hub, {split: (viggo_folder / f"{split}.csv").read_bytes() for split in SPLITS})
    assert succeeded(done := fetch(tmp_path, hub, PUBLISHED)), done.stderr
    for split, count in {"train": 5103, "validation": 714, "test": 1083}.items():
        with open(viggo_folder / f"{split}.csv", encoding="utf-8-sig", newline="") as file:
            expected = [(row["gem_id"], row["ref"], row["mr"]) for row in csv.DictReader(file)]
        assert len(expected) == count
        assert [tuple(row.values()) for row in raw_rows(tmp_path, split)] == expected


@pytest.mark.viggo
def test_one_changed_byte_of_the_published_files(tmp_path, hub, viggo_folder):
    contents = {split: (viggo_folder / f"{split}.csv").read_bytes() for split in SPLITS}
    contents["test"] = contents["test"].replace(b"2012", b"2013", 1)
    publish(hub, contents)
    assert f"not {PUBLISHED['test']}" in refused(fetch(tmp_path, hub, PUBLISHED), tmp_path)


@pytest.mark.viggo
def test_the_published_files_through_interruptions(tmp_path, hub, viggo_folder):
    publish(hub, {split: (viggo_folder / f"{split}.csv").read_bytes() for split in SPLITS})
    hub.interruptions.update({f"{RESOLVE}/{split}.csv": 1 for split in SPLITS})
    assert succeeded(done := fetch(tmp_path, hub, PUBLISHED)), done.stderr
    assert len(raw_rows(tmp_path, "train")) == 5103
