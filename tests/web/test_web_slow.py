"""Clients that take their time, at a real server whose patience is a second: heads, bodies, and answers unread."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import pairwise

import httpx
import pytest

LONG = 20_000_000
IMPATIENT = f"""
import threading
from devops_agent import web
from devops_agent.config import load_settings
from devops_agent.web import auth, server, slow
slow.HEAD_SECONDS = 1.0
slow.BODY_SECONDS = 4.0
slow.SEND_SECONDS = 1
slow.BYTES_PER_SECOND = 10_000_000
server.THREADS = 4
plain = web.create_app
def with_a_long_answer(*given):
    app = plain(*given)
    app.get("/long")(auth.public(lambda: b"x" * {LONG}))
    app.get("/thread", endpoint="thread")(auth.public(lambda: str(threading.get_ident())))
    return app
web.create_app = with_a_long_answer
server.serve(load_settings({{"port": 0, "workers": 1}}))
"""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    folder = tmp_path_factory.mktemp("impatient")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_AGENT_", "PROMETHEUS_"))}
    env = {**kept, "DEVOPS_AGENT_DATA_DIR": str(folder / "data")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
        httpx.get(f"http://127.0.0.1:{port}/livez", timeout=30)
        yield port
    finally:
        process.terminate()
        process.wait(40)
        process.stdout.close()


def connected(port, sent, buffer=None):
    made = socket.socket()
    if buffer is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.settimeout(20)
    made.connect(("127.0.0.1", port))
    made.sendall(sent)
    return made


HEAD = b"POST /process_errors HTTP/1.1\r\nHost: localhost\r\n"
BODY = HEAD + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


@pytest.mark.parametrize("begun", [HEAD, BODY], ids=["head", "body"])
def test_who_drips_is_shut_out(impatient, begun):
    slow = [connected(impatient, begun) for _ in range(8)]  # twice as many as there are threads
    started = time.monotonic()
    try:
        while slow and time.monotonic() - started < 15:
            for each in list(slow):
                try:
                    each.send(b"X")
                    time.sleep(0.05)
                except OSError:
                    each.close()
                    slow.remove(each)
        assert not slow
        assert httpx.get(f"http://127.0.0.1:{impatient}/livez", timeout=20).status_code == 200
    finally:
        for each in slow:
            each.close()


def test_who_takes_an_answer_slowly_is_shut_out(impatient):
    whole = httpx.get(f"http://127.0.0.1:{impatient}/long", timeout=30)
    assert len(whole.content) == LONG  # whoever reads gets all of it
    slow = [connected(impatient, b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n", 65536) for _ in range(8)]
    over = threading.Event()

    def drink(connection):
        with suppress(OSError):
            while not over.wait(0.2) and connection.recv(100_000):  # something always goes on
                pass

    threads = [threading.Thread(target=drink, args=(each,)) for each in slow[::2]]  # the others read nothing at all
    for each in threads:
        each.start()
    begun = time.monotonic()
    try:
        time.sleep(0.5)
        assert httpx.get(f"http://127.0.0.1:{impatient}/livez", timeout=60).status_code == 200
        assert time.monotonic() - begun < 20  # at their pace it takes 40 s
    finally:
        over.set()
        for each in slow:
            each.close()
        for each in threads:
            each.join(10)


def test_a_client_that_reads_in_time_keeps_its_connection(impatient):
    with closing(connected(impatient, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(1.5)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        assert b"healthy" in connection.recv(4096)
    body = json.dumps({"errors": [{"context": "ERROR: it fails"}]}).encode()
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with closing(connected(impatient, head + body[:5])) as connection:
        time.sleep(2.2)  # a body has more time than a head
        connection.sendall(body[5:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def threads(port, number):
    """The threads that answered so many requests of one connection, one after the other."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        return [client.get("/thread").text for _ in range(number)]


def test_a_thread_stays_with_a_connection_that_goes_on_at_once(impatient):
    answered = threads(impatient, 60)
    changes = sum(one != other for one, other in pairwise(answered))
    assert changes < 20, "nearly every request went through another thread"


def test_more_connections_than_threads_are_all_served(impatient):
    with ThreadPoolExecutor(12) as pool:
        answered = list(pool.map(lambda _: threads(impatient, 40), range(12)))
    assert [len(each) for each in answered] == [40] * 12
