"""A loopback stand-in for the REST APIs of GitHub, GitLab and Jenkins, as far as a pipeline's report asks them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOG = b"npm error enoent Could not read package.json: Error: ENOENT: no such file, open '/app/package.json'\n"


class Forge:
    """What was asked, with which headers, and the comments that stand now."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.comments: dict[int, str] = {}
        self.files: dict[str, bytes] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def headers(self, path: str) -> dict[str, str]:
        """Of the last request for an address that begins so, their names in lower case."""
        return next(headers for _, asked, headers in reversed(self.asked) if asked.startswith(path))


@contextmanager
def forge() -> Iterator[Forge]:
    """A forge until the block ends. Logs of GitHub lie on another host (the same port under another name)."""
    known = Forge()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._note()
            path = self.path.partition("?")[0]
            if path == "/repos/o/r/actions/runs/7/jobs":
                jobs = [
                    {"id": 1, "name": "lint", "conclusion": "success"},
                    {"id": 2, "name": "build", "conclusion": "failure"},
                ]
                self._json({"total_count": 2, "jobs": jobs})
            elif path == "/repos/o/r/actions/jobs/2/logs":
                self.send_response(302)
                self.send_header("Location", f"http://localhost:{known.port}/storage/2?sig=abc")
                self.end_headers()
            elif path in ("/storage/2", "/projects/5/jobs/9/trace", "/job/shop/3/consoleText"):
                self._bytes(LOG)
            elif path == "/projects/5/pipelines/8/jobs":
                self._json([{"id": 9, "name": "deploy", "status": "failed"}])
            elif path.endswith(("/comments", "/notes")):
                self._json([{"id": number, "body": body} for number, body in known.comments.items()])
            elif path in known.files:
                self._bytes(known.files[path])
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            self._note()
            known.comments[len(known.comments) + 1] = self._body()["body"]
            self._json({"id": len(known.comments)}, 201)

        def do_PATCH(self) -> None:
            self._note()
            known.comments[int(self.path.rpartition("/")[2])] = self._body()["body"]
            self._json({})

        do_PUT = do_PATCH

        def _note(self) -> None:
            known.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))

        def _body(self) -> Any:
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

        def _json(self, data: Any, status: int = 200) -> None:
            self._bytes(json.dumps(data).encode(), status)

        def _bytes(self, data: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None: ...

    with server(Handler) as known.port:
        yield known


@contextmanager
def broken(kind: str) -> Iterator[str]:
    """A service that is there and of no use: `slow` never answers, `500` fails, `garbage` sends no JSON."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if kind == "slow":
                over.wait(60)
                return
            body = b'{"error": "broken"}' if kind == "500" else b"<html>a proxy's page</html>"
            self.send_response(500 if kind == "500" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None: ...

    with server(Handler) as port:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            over.set()
            time.sleep(0)


@contextmanager
def server(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """The port of a running server."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield running.server_port
    finally:
        running.shutdown()
        running.server_close()
        thread.join(5)
