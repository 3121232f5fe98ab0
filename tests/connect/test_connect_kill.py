"""A process that is killed between its answer to a hook and the work on it: after the next start it is done, once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import httpx
import payloads
import pytest
from hooked import SECRET, proof, until
from standins import Say, standing_in

pytestmark = pytest.mark.slow
LOG = b"Traceback (most recent call last):\nModuleNotFoundError: No module named 'requests'\n"


@contextmanager
def served(folder, port):
    """`devops-agent serve` with a settings file; the process, to be killed by the test."""
    known = {**os.environ, "DEVOPS_AGENT_CONFIG": str(folder / "settings.toml"), "PYTHONUNBUFFERED": "1"}
    with (folder / "serve.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "devops_agent", "serve", "--port", str(port)],
            env=known,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: answers(port), 60)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_nothing_is_lost_and_nothing_done_twice(tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with standing_in() as jenkins, standing_in(otherwise=lambda _: Say(200)) as receiver:
        slow = True

        def console(_):
            if slow:
                time.sleep(30)
            return Say(200, LOG)

        jenkins.answers = {f"GET /job/shop/{number}/consoleText": console for number in range(5)}
        (tmp_path / "settings.toml").write_text(
            f'data_dir = "{tmp_path}/data"\npatience_seconds = 0\n'
            f'[hooks.ci]\nkind = "jenkins"\nsecret = "{SECRET}"\napi = "{jenkins.address}"\n'
            f'[notify.wire]\nkind = "webhook"\nurl = "{receiver.address}/in"\nsecret = "{SECRET}"\n'
        )
        with served(tmp_path, port) as process:
            for number in range(5):
                raw = json.dumps(payloads.jenkins(number=number + 1, url=f"job/shop/{number}/")).encode()
                headers = proof("jenkins", raw)
                answer = httpx.post(f"http://127.0.0.1:{port}/hooks/ci", content=raw, headers=headers, timeout=20)
                assert answer.status_code == 202
            until(lambda: jenkins.asked)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        slow = False
        with served(tmp_path, port):
            until(lambda: len({json.loads(each.body)["data"]["job"] for each in receiver.asked}) == 5, 60)
            time.sleep(2)
            told = [json.loads(each.body)["data"]["job"] for each in receiver.asked]
            assert len(told) == len(set(told)) == 5
