"""Clients that keep their connections and ask as fast as they are answered."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Load:
    """What the clients saw: answers of the right kind, others, and how long each took."""

    done: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


class Client:
    """One connection; opened anew where the server closes it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None
        self.rest = b""

    def ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """One request and its answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        message = head.encode() + b"\r\n" + (body or b"")
        try:
            return self._exchange(message)
        except ConnectionError:
            self.close()
            return self._exchange(message)

    def close(self) -> None:
        """Give the connection up."""
        if self.socket is not None:
            self.socket.close()
        self.socket, self.rest = None, b""

    def _exchange(self, message: bytes) -> tuple[int, bytes]:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=120)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(message)
        data = self.rest
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, data = data.partition(b"\r\n\r\n")
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(data) < length:
            data += self._more()
        self.rest = data[length:]
        if b"connection: close" in lower:
            self.close()
        return int(head[9:12]), data[:length]

    def _more(self) -> bytes:
        assert self.socket is not None
        got = self.socket.recv(1 << 16)
        if not got:
            raise ConnectionResetError("closed by the server")
        return got


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """One request over a connection of its own."""
    client = Client(port)
    with contextlib.closing(client):
        return client.ask(method, path, body)


def fire(
    port: int,
    method: str,
    path: str,
    body: Callable[[], bytes] | None,
    clients: int,
    seconds: float = 0.0,
    number: int = 0,
) -> Load:
    """Ask from so many clients for so many seconds, or so many times."""
    load, lock = Load(), threading.Lock()
    left = iter(range(number))
    begun = time.monotonic()

    def work() -> None:
        with contextlib.closing(Client(port)) as client:
            while True:
                with lock:
                    if (next(left, None) is None) if number else (time.monotonic() - begun >= seconds):
                        return
                    made = body() if body is not None else None
                start = time.perf_counter()
                status, _ = client.ask(method, path, made)
                took = time.perf_counter() - start
                with lock:
                    load.latencies.append(took)
                    if 200 <= status < 300:
                        load.done += 1
                    else:
                        load.bad[str(status)] = load.bad.get(str(status), 0) + 1

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.monotonic() - begun
    return load
