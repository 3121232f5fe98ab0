"""Loopback stand-ins: of the REST APIs of GitHub, GitLab and Jenkins, of a storage host, of receivers of messages."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Say(NamedTuple):
    """What is answered."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = {}


@dataclass
class StandIn:
    """A server: what it answers, by method and path, and what it was asked."""

    address: str
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    otherwise: Callable[[Asked], Say] = lambda _: Say(404, {"message": "Not Found"})

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def named(self, method: str, part: str = "") -> list[Asked]:
        return [each for each in self.asked if each.method == method and part in each.path]

    def answer(self, asked: Asked) -> Say:
        found = self.answers.get(f"{asked.method} {asked.path.partition('?')[0]}")
        if isinstance(found, tuple) and not isinstance(found, Say):  # one after the other, the last one for ever
            key = f"{asked.method} {asked.path.partition('?')[0]}"
            self.answers[key], found = (found[1:] if len(found) > 1 else found), found[0]
        if callable(found):
            found = found(asked)
        if found is None:
            return self.otherwise(asked)
        return found if isinstance(found, Say) else Say(200, found)


@contextmanager
def standing_in(port: int = 0, **more: Any) -> Iterator[StandIn]:
    made = StandIn("", **more)

    class Door(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length)
            )
            made.asked.append(asked)
            said = made.answer(asked)
            raw = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            with contextlib.suppress(OSError):
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = _any

    server = ThreadingHTTPServer(("127.0.0.1", port), Door)
    server.daemon_threads = True
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def to(address: str) -> Say:
    """A redirect."""
    return Say(302, b"", {"Location": address})
