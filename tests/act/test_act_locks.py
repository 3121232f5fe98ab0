"""Locks: whose they are, and when they may be released. Real processes, real namespaces."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from act.handled import eventually
from act.places import do, toolbox
from devops_agent.errors import NotAllowed
from devops_agent.model import Step

HOLDER = ["sleep", "60"]


@pytest.fixture
def box(tmp_path):
    (tmp_path / "unlock").write_text(
        '#!/bin/sh\nrm "$(dirname "$0")/lock.info"; echo "$1" > "$(dirname "$0")/released"\n'
    )
    (tmp_path / "unlock").chmod(0o755)
    lock = {"file": "lock.info", "holder": "Pid", "release": [str(tmp_path / "unlock"), "{ID}"], "wait": 5}
    return toolbox(tmp_path, locks={"state": lock})


def held_by(tmp_path, pid, **more):
    (tmp_path / "lock.info").write_text(json.dumps({"ID": "a-1", "Pid": pid, **more}))


def ended():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def seen(box):
    return box.probe("held_lock", {})


def refused(box):
    with pytest.raises(NotAllowed, match="not released"):
        box.preview(Step(tool="release_lock", args={"lock": "state"}), 1)


def test_nobody(box):
    assert seen(box)["state"] == "free"


def test_a_dead_holder(box, tmp_path):
    held_by(tmp_path, ended())
    assert seen(box)["state"] == "dead"
    assert do(box, "release_lock", lock="state").status == "succeeded"
    assert (tmp_path / "released").read_text() == "a-1\n"


def test_one_that_works(box, tmp_path):
    with subprocess.Popen(HOLDER) as process:
        held_by(tmp_path, process.pid)
        assert (seen(box)["state"], seen(box)["stopped"]) == ("alive", False)
        refused(box)
        process.kill()


def test_one_that_was_halted_is_not_waited_for(box, tmp_path):
    with subprocess.Popen(HOLDER) as process:
        os.kill(process.pid, signal.SIGSTOP)
        held_by(tmp_path, process.pid)
        assert (seen(box)["state"], seen(box)["stopped"]) == ("alive", True)
        refused(box)
        process.kill()


def test_one_that_died_and_was_not_collected_is_dead(box, tmp_path):
    process = subprocess.Popen(["true"])
    held_by(tmp_path, process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert seen(box)["state"] == "dead"
    process.wait()


def test_a_holder_on_another_machine(box, tmp_path):
    held_by(tmp_path, ended(), Host="build-7.example")
    assert seen(box)["state"] == "unknown"
    refused(box)


def test_a_number_that_was_given_to_another_process_proves_nothing(box, tmp_path):
    with subprocess.Popen(HOLDER) as process:
        held_by(tmp_path, process.pid)
        os.utime(tmp_path / "lock.info", (time.time() - 3600,) * 2)
        assert seen(box)["state"] == "unknown"
        refused(box)
        process.kill()


def test_the_program_of_the_lock_itself_is_its_holder_however_old_the_file_looks(box, tmp_path):
    (tmp_path / "unlock").write_text("import time; time.sleep(60)")
    with subprocess.Popen([sys.executable, str(tmp_path / "unlock")]) as process:
        held_by(tmp_path, process.pid)
        os.utime(tmp_path / "lock.info", (time.time() - 3600,) * 2)
        assert eventually(lambda: seen(box)["state"] == "alive")
        process.kill()


def test_a_holder_in_a_container_has_another_number_there(box, tmp_path):
    script = "echo 29950 > /proc/sys/kernel/ns_last_pid && { sleep 60 & echo up; wait; }"
    argv = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        if not process.stdout.readline().strip():
            pytest.skip("no pid namespaces may be made here")
        number = next(each for each in _numbers_inside() if 29950 < each < 30000)
        if os.path.exists(f"/proc/{number}"):
            pytest.skip("the same number is in use outside")
        held_by(tmp_path, number)
        assert seen(box)["state"] == "unknown"
        refused(box)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _numbers_inside():
    """The numbers that processes have in their own namespace."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status") as file:
                shown = next((line.split()[1:] for line in file if line.startswith("NSpid")), [])
        except OSError:
            continue
        if len(shown) > 1:
            found.append(int(shown[-1]))
    return found


def test_a_lock_that_changed_since_the_plan_is_not_released(box, tmp_path):
    held_by(tmp_path, ended())
    action = box.preview(Step(tool="release_lock", args={"lock": "state"}), 1)
    held_by(tmp_path, ended(), by="another")
    assert "has changed" in box.apply(action).output
    assert (tmp_path / "lock.info").exists()


def test_what_the_lock_says_is_no_part_of_a_command(box, tmp_path):
    (tmp_path / "lock.info").write_text(json.dumps({"ID": "; rm -rf /", "Pid": ended()}))
    with pytest.raises(NotAllowed, match="nothing usable"):
        box.preview(Step(tool="release_lock", args={"lock": "state"}), 1)
