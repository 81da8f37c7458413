"""A Hub of one's own on this machine: enough of the Hub's HTTP protocol for the real client to download from
it.
"""

import hashlib
import json
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Hub:
    """What the server holds and how it misbehaves; a test changes it as it likes.

    Attributes:
        files: content by path, such as `datasets/GEM/viggo/resolve/REVISION/train.csv`.
        refusals: (status, the Hub's error code or None) by path, instead of the content; key None: for every
            path.
        interruptions: how many times yet each path's content breaks off midway; `reset` breaks off the rude
            way.
        plain: answer as a web server that is not the Hub would, without the Hub's headers.
        requests: how often each (method, path) was asked for.
        authorizations: the Authorization headers that came with requests for files.
    """

    def __init__(self, address: str):
        self.address = address
        self.files: dict[str, bytes] = {}
        self.refusals: dict[str | None, tuple[int, str | None]] = {}
        self.interruptions: Counter[str] = Counter()
        self.reset = False
        self.plain = False
        self.requests: Counter[tuple[str, str]] = Counter()
        self.authorizations: set[str | None] = set()


@contextmanager
def serving() -> Iterator[Hub]:
    """A running server; `hub.address` goes into HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        hub, path = self.server.hub, self.path.partition("?")[0].lstrip("/")
        hub.requests[self.command, path] += 1
        if "/resolve/" in path:
            hub.authorizations.add(self.headers["Authorization"])
        if refusal := hub.refusals.get(path) or hub.refusals.get(None):
            self._refuse(*refusal)
        elif path.count("/") == 5 and path.startswith("api/"):
            self._list(path)
        elif path in hub.files:
            self._send(path, with_body)
        else:
            self._refuse(404, "EntryNotFound")

    def _refuse(self, status: int, code: str | None) -> None:
        # The real Hub does not echo the token; one that does must not make us print it.
        echo = f"refused {self.headers['Authorization']}"
        body = json.dumps({"error": echo}).encode()
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", echo)
        self._end(body, "application/json", self.command == "GET")

    def _list(self, path: str) -> None:
        """api/models/OWNER/NAME/revision/COMMIT, and .../tree/COMMIT."""
        _, kind, owner, name, what, commit = path.split("/")
        prefix = f"{'' if kind == 'models' else kind + '/'}{owner}/{name}/resolve/{commit}/"
        held = self.server.hub.files.items()
        files = [(path.removeprefix(prefix), text) for path, text in held if path.startswith(prefix)]
        if what == "tree":
            answer = [
                {"type": "file", "path": file, "size": len(text), "oid": _etag(text)} for file, text in files
            ]
        else:
            answer = {
                "id": f"{owner}/{name}",
                "sha": commit,
                "siblings": [{"rfilename": file} for file, _ in files],
            }
        self.send_response(200)
        self._end(json.dumps(answer).encode(), "application/json", True)

    def _send(self, path: str, with_body: bool) -> None:
        content, hub = self.server.hub.files[path], self.server.hub
        self.send_response(200)
        if not hub.plain:
            self.send_header("ETag", f'"{_etag(content)}"')
            self.send_header("X-Repo-Commit", path.split("/resolve/")[1].split("/")[0])
        if with_body and hub.interruptions[path] > 0:
            hub.interruptions[path] -= 1
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            if hub.reset:
                # Closing with a zero linger time sends RST instead of FIN.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            self.close_connection = True
        else:
            self._end(content, "text/plain", with_body)

    def _end(self, body: bytes, kind: str, with_body: bool) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
