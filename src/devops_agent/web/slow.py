"""Clients that hold a thread without doing anything with it: who sends a request byte by byte, or reads no answer.

A request's head must be there within `HEAD_SECONDS` of its first byte, its body at `BYTES_PER_SECOND` at least, and
each piece of an answer must be taken as fast after `SEND_SECONDS`; else the connection is shut, so that the thread
that waits for it is free again.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

HEAD_SECONDS = 10.0
BODY_SECONDS = 20.0
BYTES_PER_SECOND = 50_000
SEND_SECONDS = 30
MOMENT_MS = 1
"""Milliseconds that a thread waits for the next request of its connection."""
IN_A_ROW = 100
"""Requests of one connection after which its thread looks after others."""
_LOOK_SECONDS = 1.0


class Deadlines:
    """Connections of this process that something is expected from, and until when.

    Each step is one operation on a dict, which no lock needs to guard.
    """

    def __init__(self) -> None:
        self._until: dict[int, tuple[float, socket.socket]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def expect(self, connection: socket.socket, seconds: float) -> None:
        """Shut the connection unless `done` is said within so many seconds."""
        self._until[id(connection)] = (time.monotonic() + seconds, connection)
        if self._thread is None:
            self._start()

    def done(self, connection: socket.socket) -> None:
        """Nothing more is expected from it."""
        self._until.pop(id(connection), None)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="deadlines", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            present = time.monotonic()
            for key, expected in list(self._until.items()):
                until, connection = expected
                if until < present and self._until.get(key) is expected:
                    self._until.pop(key, None)
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker with threads, whose patience with a connection ends.

    A thread stays with a connection whose next request comes at once, which else would go through the main thread.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deadlines = Deadlines()
        self._held: set[int] = set()

    def handle(self, conn: Any) -> Any:
        """One request, from its first byte on, and those that follow at once, while half of the threads are free."""
        self._held.add(id(conn))
        try:
            kept = self._one(conn)
            for _ in range(IN_A_ROW):
                if kept is not True or not self._stays(conn):
                    break
                kept = self._one(conn)
            return kept
        finally:
            self._held.discard(id(conn))

    def _one(self, conn: Any) -> Any:
        connection = conn.sock
        if not conn.initialized:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        self.deadlines.expect(connection, HEAD_SECONDS)
        try:
            return super().handle(conn)
        finally:
            self.deadlines.done(connection)

    def _stays(self, conn: Any) -> bool:
        """Whether the connection's next request is there, or comes within moments, and nobody lacks a thread for it."""
        if not self.alive or conn.is_http2 or len(self._held) > self.cfg.threads // 2:
            return False
        if conn.parser.unreader.buf.getvalue():
            return True
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(MOMENT_MS))

    def load_wsgi(self) -> None:
        """The application, told when a request's head is there and when its body is."""
        super().load_wsgi()
        application: Any = self.wsgi  # type: ignore[has-type]
        self.application = application

        def patiently(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            self._body(environ)
            answer, connection = application(environ, start), environ.get("gunicorn.socket")
            return answer if connection is None else _Answer(answer, connection, self.deadlines)

        self.wsgi = patiently

    def _body(self, environ: dict[str, Any]) -> None:
        connection = environ.get("gunicorn.socket")
        if connection is None:
            return
        length = environ.get("CONTENT_LENGTH") or ""
        if not length and "HTTP_TRANSFER_ENCODING" not in environ:
            self.deadlines.done(connection)
            return
        size = int(length) if length.isdigit() else 0
        self.deadlines.expect(connection, BODY_SECONDS + size / BYTES_PER_SECOND)
        environ["wsgi.input"] = _Body(environ["wsgi.input"], size, lambda: self.deadlines.done(connection))


class _Answer:
    """The pieces of an answer, each of which has its time to be sent; it is sent before the next one is asked for."""

    def __init__(self, answer: Any, connection: socket.socket, deadlines: Deadlines) -> None:
        self._answer = answer
        self._connection = connection
        self._deadlines = deadlines

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._answer:
            self._deadlines.expect(self._connection, SEND_SECONDS + len(piece) / BYTES_PER_SECOND)
            yield piece
            self._deadlines.done(self._connection)

    def close(self) -> None:
        """Let go of what made it."""
        if hasattr(self._answer, "close"):
            self._answer.close()


class _Body:
    """A request's body that says when all of it was read."""

    def __init__(self, body: Any, size: int, done: Callable[[], None]) -> None:
        self._body = body
        self._left = size
        self._done = done

    def read(self, size: int = -1) -> bytes:
        """Some bytes of it."""
        return self._counted(self._body.read() if size is None or size < 0 else self._body.read(size), size)

    def readline(self, size: int = -1) -> bytes:
        """A line of it."""
        return self._counted(self._body.readline() if size is None or size < 0 else self._body.readline(size), 1)

    def readlines(self, hint: int = -1) -> list[bytes]:  # noqa: ARG002 (the standard's)
        """All lines of it."""
        return list(self)

    def __iter__(self) -> Any:
        return iter(self.readline, b"")

    def _counted(self, data: bytes, asked: int | None) -> bytes:
        self._left -= len(data)
        if (self._left <= 0 and self._left + len(data) > 0) or (not data and asked != 0):
            self._done()
        return data
