"""A real repair over HTTP: a stray process holds a service's port; asked for, approved, done and proven."""

import socket
import subprocess
import sys
import threading
import time
import urllib.request

import httpx
import psutil
import pytest
from werkzeug.serving import make_server

from devops_agent.config import Settings
from devops_agent.web import create_app

PROGRAM = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[2].encode())
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return answer.read().decode()


def answers(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            return page(port)
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nobody answers on {port}")


@pytest.fixture
def place(tmp_path):
    """A workspace whose service is down, a stray on its port, an innocent beside it; all ended afterwards."""
    port, other = free_port(), free_port()
    program, other_program = tmp_path / "shop.py", tmp_path / "other.py"
    program.write_text(PROGRAM)
    other_program.write_text(PROGRAM)
    (tmp_path / "inventory.yaml").write_text(
        f"workspace: {tmp_path}\n"
        "services:\n"
        "  shop:\n"
        "    supervisor: command\n"
        f'    run: ["{sys.executable}", "{program}", "{port}", shop]\n'
        f"    ports: [{port}]\n"
        f'    health: {{http: "http://127.0.0.1:{port}/", contains: shop}}\n'
    )
    stray = subprocess.Popen([sys.executable, str(other_program), str(port), "stray"], cwd=tmp_path)
    innocent = subprocess.Popen([sys.executable, str(other_program), str(other), "innocent"], cwd=tmp_path)
    try:
        assert answers(port) == "stray"
        assert answers(other) == "innocent"
        yield tmp_path, port, stray, innocent
    finally:
        for process in (stray, innocent):
            process.kill()
            process.wait()
        for left in psutil.process_iter(["cmdline"]):
            if str(program) in (left.info["cmdline"] or []):
                left.kill()


def test_a_repair_that_was_approved(place):
    folder, port, stray, innocent = place
    settings = Settings(data_dir=folder / "data", inventory=folder / "inventory.yaml", settle_seconds=0.2)
    app = create_app(settings)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", timeout=60) as client:
            log = f"Error: listen EADDRINUSE: address already in use 127.0.0.1:{port}"
            row = client.post("/process_errors", json={"errors": [{"context": log}]}).json()["results"][0]
            assert row["outcome"] == "needs_approval", row["final_response"]
            assert [each["tool"] for each in row["planned_actions"]][-2:] == ["free_port", "start_service"]
            assert f"end process {stray.pid}" in row["final_response"]
            assert answers(port) == "stray"
            approval = row["approval"]
            said = {"by": "ada", "fingerprint": approval["fingerprint"]}
            assert client.post(f"/jobs/{row['job_id']}/approve", json=said).status_code == 200
            assert app.extensions["devops_agent"].wait(row["job_id"], 60)
            row = client.get(f"/job_status/{row['job_id']}").json()["results"][0]
            assert row["outcome"] == "resolved", row["final_response"]
            assert "cause gone: yes; incident over: yes" in row["final_response"]
            assert "free_port" in row["tools_used"]
    finally:
        server.shutdown()
        app.extensions["devops_agent"].stop()
        server.server_close()
    assert answers(port) == "shop"
    assert stray.wait(5) is not None
    assert innocent.poll() is None
