"""Servers on loopback that a DVC remote may lie on: OpenSSH's, and one that speaks S3's protocol."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, str]]:
    """Run sshd, with keys of its own in `folder`, for the current user; yield DVC's settings of a remote on
    it.
    """
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if sshd is None:
        pytest.skip("there is no sshd here; install OpenSSH's server (Debian: openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in when root runs it
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = _free_port()
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": folder / "pid",
        "PasswordAuthentication": "no",
        "StrictModes": "no",  # the temporary folder's parent belongs to everybody
        "Subsystem": "sftp internal-sftp",
    }
    (folder / "config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    process = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "config"], stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(port, process)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        yield {"url": f"ssh://{user}@127.0.0.1:{port}{folder}/store", "keyfile": str(folder / "user")}
    finally:
        process.kill()
        process.wait()


class S3Server:
    """An S3 server in this process. After `fail_after` uploads, where it is set, every request fails."""

    def __init__(self):
        moto = pytest.importorskip("moto.server", reason="needs moto: make test-remotes")
        from werkzeug.serving import make_server

        self._app = moto.DomainDispatcherApplication(moto.create_backend_app)
        self.fail_after: int | None = None
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.settings = {
            "url": "s3://team/viggo",
            "endpointurl": f"http://127.0.0.1:{self._server.server_port}",
        }
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environ, start_response):
        if self.fail_after is not None:
            if self.fail_after <= 0:
                start_response("403 Forbidden", [])  # what clients do not try again
                return []
            self.fail_after -= environ["REQUEST_METHOD"] == "PUT"
        return self._app(environ, start_response)

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()


@contextmanager
def s3_server(monkeypatch) -> Iterator[S3Server]:
    """Run an S3 server with an empty bucket `team`, and set the environment's credentials for it."""
    server = S3Server()
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-this-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    urlopen(
        Request(f"{server.settings['endpointurl']}/moto-api/reset", method="POST")
    ).close()  # all servers share one store
    boto3.client("s3", endpoint_url=server.settings["endpointurl"]).create_bucket(Bucket="team")
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"sshd does not answer: {process.stderr.read() if process.poll() else ''}"
                ) from None
            time.sleep(0.05)
