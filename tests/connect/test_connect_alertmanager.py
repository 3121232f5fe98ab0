"""The real Alertmanager posts to the service: an alert opens, its repeats join, a second one opens, both are closed."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx
import payloads
import pytest
from hooked import SECRET, hooked, rows, until, worked_off

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PROGRAM is None, reason="Alertmanager is not installed (apt-get install prometheus-alertmanager)"
    ),
]
CONFIG = """
route:
  receiver: agent
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1s
receivers:
  - name: agent
    webhook_configs:
      - url: {url}/hooks/am
        send_resolved: true
        http_config:
          {auth}
"""
BEARER = f"authorization: {{credentials: {SECRET}}}"
BASIC = f"basic_auth: {{username: prom, password: {SECRET}}}"
WRONG = "authorization: {credentials: another-secret-than-ours}"
HOOKS = {"am": {"kind": "alertmanager", "secret": SECRET}}


@contextmanager
def alertmanager(folder, url, auth=BEARER):
    """A running Alertmanager that posts to this service; how to talk to it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    config = folder / "alertmanager.yml"
    config.write_text(CONFIG.format(url=url, auth=auth))
    log = (folder / "alertmanager.log").open("w")
    words = [f"--config.file={config}", f"--storage.path={folder}/storage", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen([PROGRAM, *words, "--cluster.listen-address="], stdout=log, stderr=log, cwd=folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            until(lambda: ready(client), 30)
            yield client
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def ready(client):
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def fire(client, name, ended=None, **labels):
    known = payloads.alert(name, began=30, **labels)
    wanted = {key: known[key] for key in ("labels", "annotations", "startsAt")}
    wanted |= {"endsAt": payloads.iso(ended)} if ended is not None else {}
    assert client.post("/api/v2/alerts", json=[wanted]).status_code == 200


@pytest.mark.parametrize("auth", [BEARER, BASIC])
def test_alerts_open_join_and_close(tmp_path, auth):
    with hooked(tmp_path / "service", HOOKS) as service, alertmanager(tmp_path, service.http.base_url, auth) as client:
        fire(client, "DiskAlmostFull")
        until(lambda: rows(service), 30)
        worked_off(service)
        assert rows(service)[0].waiting == "approval"
        assert rows(service)[0].title == "DiskAlmostFull: DiskAlmostFull on db-3:9100"
        fire(client, "DiskAlmostFull", instance="db-4:9100")  # of the same group: the first one is told again
        until(lambda: len(rows(service)) == 2 and rows(service)[0].repeats >= 1, 30)
        worked_off(service)
        fire(client, "DiskAlmostFull", ended=0.5)
        until(lambda: rows(service)[0].outcome == "resolved", 30)
        assert rows(service)[1].waiting == "approval"
        fire(client, "DiskAlmostFull", ended=0.5, instance="db-4:9100")
        until(lambda: rows(service)[1].outcome == "resolved", 30)
        time.sleep(3)
        assert len(rows(service)) == 2


def test_with_another_secret_nothing_is_taken_in(tmp_path):
    with hooked(tmp_path / "service", HOOKS) as service, alertmanager(tmp_path, service.http.base_url, WRONG) as client:
        fire(client, "DiskAlmostFull")
        until(lambda: "unexpected status code 401" in (tmp_path / "alertmanager.log").read_text(), 30)
        assert rows(service) == []
