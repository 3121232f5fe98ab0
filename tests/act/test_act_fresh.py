"""What a program of supervisord has said since, where the inventory names only the supervisor's own log."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.handled import eventually
from act.places import toolbox
from devops_agent.tools import fresh
from devops_agent.tools.toolbox import Toolbox

CONFIGURATION = """[supervisord]
nodaemon=true
logfile={folder}/s.log
pidfile={folder}/s.pid
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
[program:web]
command=/bin/sh -c "cat {folder}/words >&2; exit 1"
startretries=1
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Toolbox]:
    if not shutil.which("supervisord"):
        pytest.skip("supervisord is not installed")
    (tmp_path / "s.conf").write_text(CONFIGURATION.format(folder=tmp_path))
    (tmp_path / "words").write_text("first words\n")
    keeper = subprocess.Popen(["supervisord", "-c", str(tmp_path / "s.conf")], stdout=subprocess.DEVNULL)
    entry = {"supervisor": "supervisord", "files": {"supervisord": "s.conf"}, "logs": ["s.log"]}
    box = toolbox(tmp_path, services={"web": entry})
    try:
        assert eventually(lambda: "FATAL" in box.probe("service_status", {"service": "web"})["detail"])
        yield box
    finally:
        keeper.terminate()
        keeper.wait(20)


def test_only_what_is_new_of_its_output_is_read(box: Toolbox, tmp_path: Path) -> None:
    before = fresh.marks(box)
    (tmp_path / "words").write_text("KeyError: SHOP_SITE\n")
    subprocess.run(["supervisorctl", "-c", str(tmp_path / "s.conf"), "start", "web"], capture_output=True, check=False)
    said = fresh.since(box, before).decode()
    assert said.count("KeyError: SHOP_SITE\n") >= 1
    assert "first words" not in said
    assert "gave up: web entered FATAL" in said
