"""A teammate without a GPU and without the model gets everything from the remote, and DVC finds nothing to
run.
"""

import json
from pathlib import Path

import pytest
from helpers.dvc_project import CACHED, IN_GIT, dvc, git, run_dvc
from helpers.remote_servers import s3_server, ssh_server

pytestmark = pytest.mark.slow


def add_remote(folder: Path, settings: dict[str, str]) -> None:
    dvc(folder, "remote", "add", "--default", "team", settings["url"])
    for key, value in settings.items() - {("url", settings["url"])}:
        dvc(folder, "remote", "modify", "team", key, value)
    git(folder, "commit", "--quiet", "-m", "A remote", ".dvc/config")


def clone(folder: Path, name: str = "theirs") -> Path:
    theirs = folder.parent / name
    git(folder.parent, "clone", "--quiet", str(folder), str(theirs))
    assert not any((theirs / path).exists() for path in CACHED)
    return theirs


def fails(folder: Path, *arguments: str) -> str:
    """Run dvc, which must fail without a traceback, and return what it says."""
    status, out, err = run_dvc(folder, *arguments)
    assert status != 0 and "Traceback" not in err, out + err
    return out + err


def assert_nothing_to_run(theirs: Path, mine: Path) -> None:
    for path in CACHED + IN_GIT:
        assert (theirs / path).read_bytes() == (mine / path).read_bytes()
    assert json.loads(dvc(theirs, "status", "--json")) == {}
    assert "Running stage" not in dvc(theirs, "repro")
    assert git(theirs, "status", "--porcelain") == ""


def push_and_pull(mine: Path, settings: dict[str, str]) -> None:
    add_remote(mine, settings)
    dvc(mine, "push")
    theirs = clone(mine)
    dvc(theirs, "pull")
    assert_nothing_to_run(theirs, mine)


def test_through_a_folder(mine):
    push_and_pull(mine, {"url": str(mine.parent / "store")})


@pytest.mark.remotes
def test_through_an_ssh_server(mine):
    pytest.importorskip("dvc_ssh", reason="needs dvc-ssh: make test-remotes")
    with ssh_server(mine.parent / "ssh") as settings:
        push_and_pull(mine, settings | {"verify": "true"})


@pytest.mark.remotes
def test_through_s3s_protocol(mine, monkeypatch):
    with s3_server(monkeypatch) as server:
        push_and_pull(mine, server.settings | {"verify": "true"})


def test_repro_pulls_what_it_needs_and_runs_nothing(mine):
    add_remote(mine, {"url": str(mine.parent / "store")})
    dvc(mine, "push")
    theirs = clone(mine)
    said = dvc(theirs, "repro", "--pull", "--allow-missing")
    assert "Running stage" not in said
    # What no stage needs is left where it is; `dvc pull` fetches it.
    dvc(theirs, "pull")
    assert_nothing_to_run(theirs, mine)


def only_what_was_pushed(theirs: Path, mine: Path) -> bool:
    return all(
        not (theirs / path).exists() or (theirs / path).read_bytes() == (mine / path).read_bytes()
        for path in CACHED
    )


def object_of(cache: Path, content: bytes) -> Path:
    """The one object under `cache` with this content, made writable: DVC writes objects once."""
    (found,) = [path for path in cache.rglob("*") if path.is_file() and path.read_bytes() == content]
    found.chmod(0o644)
    return found


def test_a_half_pushed_cache_is_named_and_completed_by_another_push(mine):
    add_remote(mine, {"url": str(mine.parent / "store")})
    dvc(mine, "push", "fetch", "tokenize")
    theirs = clone(mine)
    said = fails(theirs, "pull")
    assert "missing" in said.lower() and "models/adapter" in said
    assert only_what_was_pushed(theirs, mine)
    dvc(mine, "push")
    dvc(theirs, "pull")
    assert_nothing_to_run(theirs, mine)


def test_a_corrupted_object_is_refused_and_replaced_by_another_push(mine):
    store = mine.parent / "store"
    add_remote(mine, {"url": str(store)})
    dvc(mine, "push")
    object_of(store, (mine / "predictions/tuned.jsonl").read_bytes()).write_bytes(b"not what was pushed")
    theirs = clone(mine)
    assert "missing" in fails(theirs, "pull").lower()
    assert only_what_was_pushed(theirs, mine)
    dvc(mine, "push")
    dvc(theirs, "pull")
    assert_nothing_to_run(theirs, mine)


def test_a_corrupted_object_in_ones_own_cache_is_found_by_status_and_pulled_anew(mine):
    path = mine / "predictions/tuned.jsonl"
    whole = path.read_bytes()
    add_remote(mine, {"url": str(mine.parent / "store")})
    dvc(mine, "push")
    object_of(mine / ".dvc/cache/files", whole).write_bytes(b"damaged")
    path.unlink()
    dvc(mine, "checkout", "predict@tuned")  # trusts the cache ...
    assert path.read_bytes() == b"damaged"
    assert "predictions/tuned.jsonl" in dvc(mine, "status", "predict@tuned")  # ... and status does not
    path.unlink()
    dvc(mine, "pull", "predict@tuned")
    assert path.read_bytes() == whole
    assert_nothing_to_run(mine, mine)


@pytest.mark.remotes
def test_a_corrupted_object_on_an_ssh_server_is_refused_where_the_remote_is_verified(mine):
    pytest.importorskip("dvc_ssh", reason="needs dvc-ssh: make test-remotes")
    with ssh_server(mine.parent / "ssh") as settings:
        add_remote(mine, settings | {"verify": "true"})
        dvc(mine, "push")
        content = (mine / "predictions/tuned.jsonl").read_bytes()
        object_of(mine.parent / "ssh/store", content).write_bytes(b"not what was pushed")
        theirs = clone(mine)
        fails(theirs, "pull")
        assert only_what_was_pushed(theirs, mine)


@pytest.mark.remotes
def test_a_remote_that_vanishes_midway_loses_nothing(mine, monkeypatch):
    with s3_server(monkeypatch) as server:
        add_remote(mine, server.settings)
        server.fail_after = 3
        assert "orbidden" in fails(mine, "push")
        server.fail_after = None
        dvc(mine, "push")
        theirs = clone(mine)
        server.fail_after = 0
        fails(theirs, "pull")
        server.fail_after = None
        dvc(theirs, "pull")
        assert_nothing_to_run(theirs, mine)
