"""The watcher: files that are rotated and truncated, journal units, bursts, repeats; here and to a service."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hooked import hooked, rows, until, worked_off
from standins import Say, standing_in

from devops_agent.connect.bursts import Bursts, CoolDown, Failure, is_sign, judged
from devops_agent.connect.follow import LONGEST_LINE, FollowedFile, FollowedUnits
from devops_agent.errors import RequestError

TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/srv/app.py", line 3, in <module>\n'
    "    import requests\n"
    "ModuleNotFoundError: No module named 'requests'\n"
)


def add(path, text):
    with path.open("a") as file:
        file.write(text)


def test_only_what_comes_after_the_start_is_read(tmp_path):
    log = tmp_path / "log"
    log.write_text("old\n")
    followed = FollowedFile(log)
    assert followed.read() == []
    add(log, "new\nhal")
    assert followed.read() == ["new"]
    add(log, "f\r\n")
    assert followed.read() == ["half"]
    followed.close()
    assert FollowedFile(log, whole=True).read() == ["old", "new", "half"]


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    followed = FollowedFile(log)
    add(log, "one\n")
    log.rename(tmp_path / "log.1")
    add(tmp_path / "log.1", "two\nthree without end")
    log.write_text("four\n")
    assert followed.read() + followed.read() == ["one", "two", "three without end", "four"]
    log.unlink()
    assert followed.read() == []
    log.write_text("five\n")
    assert followed.read() == ["five"]


def test_a_truncated_file_is_read_from_its_beginning(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    followed = FollowedFile(log)
    add(log, "one\ntwo\n")
    assert followed.read() == ["one", "two"]
    log.write_text("new\n")
    assert followed.read() == ["new"]


def test_a_file_may_come_later_and_lines_without_end_are_cut(tmp_path):
    log = tmp_path / "log"
    followed = FollowedFile(log)
    assert followed.read() == []
    log.write_bytes(b"\xff\xfe" + b"x" * (LONGEST_LINE + 10))
    assert [len(line) for line in followed.read()] == [LONGEST_LINE]


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A program in journalctl's place that shows the lines of a file as they come."""
    lines = tmp_path / "lines"
    lines.touch()
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\nexec tail -n +1 -f {lines}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return lines


def test_units_of_the_journal_are_followed_and_journalctl_is_ended_with_its_children(tmp_path, journal):
    units = FollowedUnits(["shop", "nginx"])
    add(journal, "2026-01-31T10:00:00 host shop[1]: error: broken\n")
    assert until(units.read) == ["2026-01-31T10:00:00 host shop[1]: error: broken"]
    called = (tmp_path / "called").read_text()
    assert "--unit shop --unit nginx" in called
    assert "--follow" in called
    process = units._process
    units.close()
    assert process.poll() is not None


def test_journalctl_is_started_again_where_it_ends(journal):
    units = FollowedUnits(["shop"])
    os.kill(units._process.pid, signal.SIGKILL)
    units._wait = 0.1
    until(lambda: (units.read(), units._process is None)[1])
    add(journal, "again\n")
    assert until(units.read)[-1] == "again"
    units.close()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def collected(text, clock, **more):
    bursts = Bursts("log", judged, clock=clock, **more)
    bursts.add(text.splitlines())
    return bursts


def test_lines_that_belong_together_are_one_failure_with_what_stood_before():
    clock = Clock()
    bursts = collected("starting\nlistening\n" + TRACE, clock)
    assert bursts.ended() is None
    clock.now = 1.0
    bursts.add(["  and another line"])
    clock.now = 2.5
    assert bursts.ended() is None
    clock.now = 3.1
    failure = bursts.ended()
    assert failure.text == "starting\nlistening\n" + TRACE + "  and another line\n"
    assert bursts.ended() is None


def test_a_failure_that_does_not_stop_ends_after_a_while_and_a_flood_is_cut():
    clock = Clock()
    bursts = collected(TRACE, clock)
    for second in range(31):
        clock.now = float(second)
        bursts.add([f"ERROR: number {each} failed" for each in range(200)])
    failure = bursts.ended()
    assert "lines after this were left out" in failure.text
    assert failure.text.count("\n") < 3100


STOPPED = "systemd[1]: shop.service: Main process exited, code=killed, status=15/TERM"


@pytest.mark.parametrize(
    "line", ["0 errors, 0 failed", "listening on 80", "GET / 200", "errors=0", "no failures", STOPPED]
)
def test_what_is_no_failure_is_not_reported(line):
    assert not is_sign(line)
    assert is_sign(STOPPED.replace("15/TERM", "11/SEGV"))
    clock = Clock()
    bursts = collected(f"{line}\n" * 5, clock)
    clock.now = 99
    assert bursts.ended() is None


def test_an_equal_failure_is_passed_over_for_a_while_and_counted():
    clock = Clock()
    cool = CoolDown(60, clock)
    one = judged(TRACE)
    assert one == judged(TRACE.replace("line 3", "line 44"))
    assert one != judged("error: connect ECONNREFUSED 127.0.0.1:5432\n")
    failure = Failure("log", TRACE, one)
    assert cool.passes(failure) is not None
    assert cool.passes(failure) is None
    assert cool.passes(failure) is None
    assert cool.passes(Failure("log", "other", "other")) is not None
    clock.now = 61
    assert cool.passes(failure).repeats == 2


def watching(tmp_path, *words, **environment):
    known = {**os.environ, "DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1", **environment}
    command = [sys.executable, "-m", "devops_agent", "watch", "--quiet", "0.3", *map(str, words)]
    return subprocess.Popen(command, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)


def test_a_watched_file_is_handled_here_and_sigterm_ends_it_without_losing_what_began(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("old error: nothing\n")
    process = watching(tmp_path, log)
    try:
        assert "watching" in process.stderr.readline()
        add(log, "starting\n" + TRACE)
        first = process.stdout.readline()
        add(log, TRACE)
        add(log, "error: bind: address already in use 0.0.0.0:8080\n")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "needs_person" in first
    assert process.returncode == 0
    assert "job_" in rest


def test_what_is_watched_goes_to_a_service_by_key_once_however_often_it_is_tried(tmp_path):
    log = tmp_path / "app.log"
    log.touch()
    with standing_in() as service:
        service.answers = {"POST /api/v1/incidents": (Say(503), Say(202, {"batch": "job_1"}))}
        process = watching(tmp_path, log, "--url", service.address, "--place", "shop", DEVOPS_AGENT_KEY="the-key")
        try:
            process.stderr.readline()
            add(log, "password=hunter2hunter2\n" + TRACE)
            until(lambda: len(service.asked) == 2)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    one, other = service.asked
    assert one.headers["idempotency-key"] == other.headers["idempotency-key"]
    assert one.headers["authorization"] == "Bearer the-key"
    sent = other.json
    assert sent["place"] == "shop"
    assert sent["labels"]["source"] == str(log)
    assert "ModuleNotFoundError" in sent["log"]
    assert "hunter2" not in sent["log"]


def test_a_real_service_takes_what_is_watched(tmp_path):
    log = tmp_path / "app.log"
    log.write_text(TRACE)
    with hooked(tmp_path / "service", {}) as service:
        process = watching(tmp_path, log, "--url", service.http.base_url, "--once")
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        worked_off(service)
        assert [row.title for row in rows(service)] == [f"{log}: failure"]


def test_who_looks_once_does_not_wait_for_ever_for_a_service(tmp_path, monkeypatch):
    from devops_agent.connect import watcher
    from devops_agent.connect.follow import FollowedFile

    monkeypatch.setattr(watcher, "_WAITS", (0.01, 60.0))
    monkeypatch.setattr(watcher, "_ONCE", 0.05)
    log = tmp_path / "app.log"
    log.write_text(TRACE)
    looking = watcher.Watcher([FollowedFile(log, True)], watcher.to_service("http://127.0.0.1:1", None, None, {}))
    looking.run(once=True)
    assert looking.lost == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "FILE: missing"),
        (["--once", "nosuch.log"], "nosuch.log: no such file"),
        (["/"], "is a directory"),
        (["/nowhere/at/all"], "no such directory"),
        (["x.log", "--url", "ftp://x"], "--url: expected an address"),
        (["x.log", "--place", "nowhere"], "--place: no place"),
    ],
)
def test_wrong_words_are_refused(tmp_path, monkeypatch, words, said):
    from typer.testing import CliRunner

    from devops_agent.cli.app import build

    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(build(), ["watch", *words], env={"DEVOPS_AGENT_DATA_DIR": str(tmp_path / "data")})
    assert isinstance(refused.exception, RequestError)
    assert said in str(refused.exception)


def test_without_journalctl_units_are_refused(tmp_path):
    process = watching(tmp_path, "--unit", "shop", PATH=str(Path(tmp_path)))
    _, problem = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no journalctl" in problem
