"""Pid files that were left behind: removed where nothing can be meant by them, and kept wherever something may be."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from act.handled import APP, Site, done, eventually, free_port
from act.places import do, toolbox
from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.model import Step

ARGS = {"path": "run/shop.pid", "service": "shop"}


@pytest.fixture
def box(tmp_path):
    """A service that is down, as its supervisor says."""
    (tmp_path / "run").mkdir()
    (tmp_path / "sv").mkdir()
    script = tmp_path / "inside"
    script.write_text(f"#!/bin/sh\necho 'down: {tmp_path}/sv: 9s, normally up'\n")
    script.chmod(0o755)
    entry = {"supervisor": "runit", "unit": "sv", "control": [str(script)], "config": ["conf/shop.conf"]}
    return toolbox(tmp_path, services={"shop": entry}, protected=["kept"])


def dead():
    gone = subprocess.Popen(["true"])
    gone.wait()
    return gone.pid


def test_what_a_dead_process_left_is_removed_and_put_back(box, tmp_path):
    file = tmp_path / "run/shop.pid"
    file.write_text(f"{dead()}\n")
    assert box.probe("pid_file", ARGS)["removable"] is True
    action = box.preview(Step(tool="remove_pid_file", args=ARGS), 1)
    text = file.read_text()
    assert box.apply(action).status == "succeeded"
    assert not file.exists()
    assert box.apply(action).status == "already"
    assert box.revert(action).status == "succeeded"
    assert file.read_text() == text


def test_a_number_that_was_given_again_is_no_holder_and_not_ended(box, tmp_path):
    file = tmp_path / "run/shop.pid"
    with subprocess.Popen(["sleep", "60"]) as other:
        file.write_text(f"{other.pid}\n")
        os.utime(file, (time.time() - 600,) * 2)
        assert box.probe("pid_file", ARGS)["state"] == "reused"
        assert do(box, "remove_pid_file", **ARGS).status == "succeeded"
        assert other.poll() is None
        other.kill()


def test_the_file_of_a_process_that_may_be_meant_stays(box, tmp_path):
    file = tmp_path / "run/shop.pid"
    with subprocess.Popen(["sleep", "60"]) as other:
        time.sleep(0.1)
        file.write_text(f"{other.pid}\n")
        assert box.probe("pid_file", ARGS)["state"] == "alive"
        with pytest.raises(NotAllowed, match="may be the one"):
            do(box, "remove_pid_file", **ARGS)
        other.kill()
    assert file.exists()


def test_a_file_that_was_written_anew_stays(box, tmp_path):
    file = tmp_path / "run/shop.pid"
    file.write_text(f"{dead()}\n")
    action = box.preview(Step(tool="remove_pid_file", args=ARGS), 1)
    file.write_text(f" {dead()}\n")
    assert "written anew" in box.apply(action).output
    assert file.exists()


def test_a_database_whose_processes_still_work_there_is_left_alone(box, tmp_path):
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf/postmaster.pid"
    file.write_text(f"{dead()}\n{tmp_path}/conf\n")
    args = {"path": "postmaster.pid", "service": "shop"}
    assert box.probe("pid_file", args)["path"] == str(file)
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path / "conf") as backend:
        eventually(lambda: os.readlink(f"/proc/{backend.pid}/cwd") == str(tmp_path / "conf"))
        with pytest.raises(NotAllowed, match="works in the folder"):
            do(box, "remove_pid_file", **args)
        backend.kill()
    assert do(box, "remove_pid_file", **args).status == "succeeded"


@pytest.mark.parametrize(
    ("path", "text"),
    [("kept/shop.pid", None), ("run/orders.db", "1\n"), ("run/text.pid", "orders\n"), ("/etc/x.pid", None),
     ("run/link.pid", None), ("run/long.pid", "9" * 9000)],
)  # fmt: skip
def test_what_is_no_pid_file_of_ours_stays(box, tmp_path, path, text):
    (tmp_path / "kept").mkdir()
    (tmp_path / "run/link.pid").symlink_to(tmp_path / "kept/shop.pid")
    if not path.startswith("/") and "link" not in path:
        (tmp_path / path).write_text(text or f"{dead()}\n")
    (tmp_path / "kept/shop.pid").write_text(f"{dead()}\n")
    before = sorted(tmp_path.rglob("*"))
    with contextlib.suppress(NotAllowed, StalePlan):
        assert do(box, "remove_pid_file", path=path, service="shop").status == "already"
    assert sorted(each for each in tmp_path.rglob("*") if ".data" not in each.parts) == before
    assert (tmp_path / "kept/shop.pid").exists()


STARTS = """import os, sys, frame
if os.path.exists('run/shop.pid'):
    sys.exit('shop: pid file run/shop.pid already exists, is another instance running?')
os.makedirs('run', exist_ok=True)
open('run/shop.pid', 'w').write(str(os.getpid()))
frame.work = lambda: 'open'
frame.serve(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_whole_agent_sees_through_it(tmp_path):
    site = Site(tmp_path)
    try:
        port = free_port()
        site.write("frame.py", APP)
        site.write("shop.py", STARTS)
        site.write("run/shop.pid", str(dead()))
        health = {"http": f"http://127.0.0.1:{port}/"}
        site.service("shop", f"exec {sys.executable} shop.py {port}", ports=[port], health=health)
        log = eventually(lambda: (tmp_path / "log/shop.log").exists() and (tmp_path / "log/shop.log").read_text())
        report = site.handle(log + "exit status 1\n")
        assert report["status"] == "resolved", report["summary"]
        assert "remove_pid_file" in done(report)
        assert site.get(port) == 200
    finally:
        site.close()
