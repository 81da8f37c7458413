"""A bad environment is one line and exit status 2, although libraries fail on it when they are imported."""

import os
import subprocess
import sys

import pytest
from helpers.imports import ROOT

from viggo_pipe.core.environment import check_environment
from viggo_pipe.core.errors import InputError

STAGES = sorted(path.name for path in (ROOT / "stages").glob("*.py"))


@pytest.mark.parametrize("command", [*(f"stages/{name}" for name in STAGES), "-mviggo_pipe.cli.main"])
def test_every_command_says_it_in_one_line(command):
    environment = os.environ | {"HF_HUB_ETAG_TIMEOUT": "abc", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith("HF_HUB_ETAG_TIMEOUT is 'abc', not a whole number of seconds; correct or unset it")


@pytest.mark.parametrize("value", ["", "abc", "ftp://host", "https://", "http://host:0", "http://host:port"])
def test_an_endpoint_that_is_no_address_is_named_without_its_password(monkeypatch, value):
    monkeypatch.setenv("HF_ENDPOINT", value)
    with pytest.raises(InputError, match="HF_ENDPOINT is not an http"):
        check_environment()


@pytest.mark.parametrize("value", ["10", " 10 "])
def test_what_the_client_takes_is_taken(monkeypatch, value):
    monkeypatch.setenv("HF_ENDPOINT", "https://user:password@mirror.example:8443/hub")
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", value)
    check_environment()
