"""The server's end under load, and clients that take their time."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress

import httpx
import pytest
from test_web_server import free_port

LOG = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'orders_{}'\nexit code 1\n"


@contextmanager
def served(folder, port):
    """The service in a process of its own; ended by force where nobody did before."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "PROMETHEUS_"))}
    env = {**kept, "DEVOPS_AGENT_DATA_DIR": str(folder / "data"), "WEB_CONCURRENCY": "2"}
    with (folder / "log").open("a") as log:
        command = [sys.executable, "-m", "devops_agent", "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/livez")
                break
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Clients:
    """Post as fast as they are answered, until told to stop or nobody listens any more."""

    def __init__(self, port, number):
        self.port = port
        self.accepted, self.answered, self.odd = [], [], []
        self.stop = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=(each,)) for each in range(number)]
        for thread in self._threads:
            thread.start()

    def join(self):
        self.stop.set()
        for thread in self._threads:
            thread.join(60)

    def _post(self, client):
        path, good = ("/process_errors", self.answered) if client % 2 else ("/process_errors_async", self.accepted)
        count = 0
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60) as http:
            while not self.stop.is_set():
                count += 1
                try:
                    answer = http.post(path, json={"errors": [{"context": LOG.format(f"{client}_{count}")}]})
                except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                    return
                if answer.status_code in (200, 202):
                    good.append(answer.json()["job_id"])
                elif answer.status_code != 503:
                    self.odd.append(answer.text)


def statuses(folder):
    with closing(sqlite3.connect(folder / "data" / "devops_agent.db", timeout=30)) as database:
        return dict(database.execute("SELECT id, status FROM job"))


def test_told_to_stop_under_load_it_loses_nothing(tmp_path):
    port = free_port()
    with served(tmp_path, port) as process:
        clients = Clients(port, 6)
        time.sleep(2)
        process.terminate()
        begun = time.monotonic()
        assert process.wait(40) == 0
        assert time.monotonic() - begun < 35
        clients.join()
    assert clients.accepted
    assert clients.answered
    assert not clients.odd
    kept = statuses(tmp_path)
    assert set(clients.accepted) <= set(kept)
    assert all(kept[job] == "done" for job in clients.answered)
    with served(tmp_path, port):
        deadline = time.monotonic() + 60
        while set(statuses(tmp_path).values()) != {"done"} and time.monotonic() < deadline:
            time.sleep(0.2)
    assert set(statuses(tmp_path).values()) == {"done"}
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_open_streams_end_with_the_service(tmp_path):
    port = free_port()
    with served(tmp_path, port) as process, httpx.Client(timeout=60) as http:
        with http.stream("GET", f"http://127.0.0.1:{port}/api/v1/events") as stream:
            assert stream.status_code == 200
            process.terminate()
            begun = time.monotonic()
            with suppress(httpx.RemoteProtocolError):
                stream.read()
        assert process.wait(30) == 0
        assert time.monotonic() - begun < 20


@pytest.mark.slow
def test_clients_that_drip_hold_no_thread_for_long(tmp_path):
    port = free_port()
    with served(tmp_path, port):
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
        for number, each in enumerate(slow):
            head = b"POST /process_errors HTTP/1.1\r\nHost: localhost\r\n"
            each.sendall(head if number % 2 else head + b"Content-Length: 100000\r\n\r\n{")
        dripping = threading.Event()

        def drip():
            while not dripping.wait(1):
                for each in slow:
                    with suppress(OSError):
                        each.send(b"X")

        threading.Thread(target=drip, daemon=True).start()
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/livez", timeout=60).status_code == 200
        finally:
            dripping.set()
            for each in slow:
                each.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: a\r\n" % each for each in range(300)) + b"\r\n",
    ],
    ids=["line", "field", "fields"],
)
def test_huge_heads_are_refused(shared, head):
    with socket.create_connection(("127.0.0.1", shared)) as connection:
        connection.sendall(head)
        connection.settimeout(20)
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 414", b"HTTP/1.1 431"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    port = free_port()
    with served(tmp_path_factory.mktemp("shared"), port):
        yield port


def test_a_body_in_pieces_is_read(shared):
    body = json.dumps({"errors": [{"context": LOG.format("pieces")}]}).encode()
    answer = httpx.post(
        f"http://127.0.0.1:{shared}/process_errors",
        content=iter([body[:20], body[20:]]),
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    assert answer.json()["status"] == "completed"
