"""The package as users get it: built, installed from the wheel alone into an empty environment, and run there."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOG = (
    "npm error enoent Could not read package.json: Error: ENOENT: no such file or directory, open '/app/package.json'\n"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "hatchling" in done.stdout + done.stderr and done.returncode:
        command.remove("--no-isolation")
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """The folder of programs of an environment in which nothing is but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, str(wheel)], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_what_is_inside(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("runbooks/library.json", "runbooks/causes.yaml", "web/templates/base.html", "web/static/icon.svg"):
        assert f"devops_agent/{part}" in names
    assert any(re.match(r"devops_agent/jobs/migrations/versions/0001", name) for name in names)
    assert not any(name.startswith(("tests/", "docs/", "integrations/")) for name in names)


def test_it_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    env = {"PATH": str(installed), "HOME": str(tmp_path), "DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data")}
    agent = str(installed / "devops-agent")
    done = subprocess.run(
        [agent, "handle", "-", "--json"],
        input=LOG,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["attempts"][0]["diagnosis"]["cause"] == "file_not_found"
    listed = subprocess.run(
        [agent, "runbooks", "list"], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert "file_not_found" in listed.stdout


def test_it_serves_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    env = {"PATH": str(installed), "HOME": str(tmp_path), "DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(installed / "devops-agent"), "serve", "--port", str(port)]
    with (tmp_path / "said").open("w") as said:
        server = subprocess.Popen(command, env=env, stdout=said, stderr=said, cwd=tmp_path, start_new_session=True)
    try:
        _wait(server, port, tmp_path / "said")
        for page in ("/health", "/dashboard", "/livez", "/api/v1/openapi.json"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=20) as answer:
                assert answer.status == 200
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        assert server.wait(30) == 0


def _wait(server: subprocess.Popen[bytes], port: int, said: Path) -> None:
    for _ in range(300):
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, said.read_text()
        time.sleep(0.1)
    raise AssertionError(said.read_text())
