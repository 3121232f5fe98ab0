"""Watching goes on where it was: what failed while nobody watched is reported once, and nothing twice."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hooked import until
from standins import Say, standing_in

from devops_agent.connect import positions
from devops_agent.connect.follow import FollowedFile, FollowedUnits

FAILURE = (
    "Traceback (most recent call last):\n  File \"/srv/app.py\", line 3\nModuleNotFoundError: No module named '{}'\n"
)


def add(path, text):
    with path.open("a") as file:
        file.write(text)


def again(followed):
    """The same file, followed anew."""
    mark = json.loads(json.dumps(followed.mark()))
    followed.close()
    return lambda: FollowedFile(followed.path, mark=mark)


def everything(followed):
    found = []
    while some := followed.read():
        found += some
    return found


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "app.log"
    path.write_text("old\n")
    return path


def test_a_file_goes_on_where_it_was_with_a_line_that_had_no_end(log):
    followed = FollowedFile(log)
    add(log, "one\nhal")
    assert everything(followed) == ["one"]
    later = again(followed)
    add(log, "f\ntwo\n")
    assert everything(later()) == ["half", "two"]


def test_a_file_that_was_rotated_meanwhile_is_read_to_its_end_first(log, tmp_path):
    followed = FollowedFile(log)
    add(log, "one\n")
    assert everything(followed) == ["one"]
    later = again(followed)
    for number, line in enumerate(("two", "three", "four")):
        add(log, f"{line}\n")
        os.utime(log, (1000 + number, 1000 + number))
        for old in (2, 1):
            if (tmp_path / f"app.log.{old}").exists():
                (tmp_path / f"app.log.{old}").rename(tmp_path / f"app.log.{old + 1}")
        log.rename(tmp_path / "app.log.1")
    (tmp_path / "app.log.4.gz").write_bytes(b"packed")
    (tmp_path / "app-errors.log").write_text("another one's\n")
    log.write_text("five\n")
    assert everything(later()) == ["two", "three", "four", "five"]
    log.unlink()
    gone = later()
    assert everything(gone) == ["two", "three", "four"]
    log.write_text("six\n")
    assert everything(gone) == ["six"]


@pytest.mark.parametrize("text", ["new\n", "quite another and longer than before\n"])
def test_a_file_that_was_emptied_meanwhile_is_read_from_its_beginning(log, text):
    followed = FollowedFile(log)
    add(log, "one\n")
    assert everything(followed) == ["one"]
    later = again(followed)
    log.write_text(text)
    assert everything(later()) == [text.strip()]


def test_a_file_that_is_not_there_any_more_is_read_anew_and_one_that_comes_later_too(log, tmp_path):
    later = again(FollowedFile(log))
    log.unlink()
    (tmp_path / "other").write_text("x")
    followed = later()
    assert everything(followed) == []
    log.write_text("first\n")
    assert everything(followed) == ["first"]
    none = again(FollowedFile(tmp_path / "later.log"))
    (tmp_path / "later.log").write_text("came\n")
    assert everything(none()) == ["came"]


JOURNAL = """#!{python}
import json, sys, time
print(*sys.argv[1:], file=open({called!r}, "a"))
after = next((each.split("=", 1)[1] for each in sys.argv if each.startswith("--after-cursor=")), None)
if after == "lost":
    sys.exit(1)
shown = 0 if after is None else int(after)
first = after is None
while True:
    entries = open({entries!r}).read().splitlines()
    if first and entries:
        shown = len(entries) - 1
    first = False
    for number, line in list(enumerate(entries, 1))[shown:]:
        at, text = line.split(" ", 1)
        print(json.dumps({{"__CURSOR": str(number), "__REALTIME_TIMESTAMP": str(int(float(at) * 1e6)), "MESSAGE": text,
            "_PID": "7", "SYSLOG_IDENTIFIER": "shop", "_HOSTNAME": "host"}}), flush=True)
        shown = number
    time.sleep(0.05)
"""


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A program in journalctl's place, with the entries of a file and their cursors; how to add one."""
    entries, program = tmp_path / "entries", tmp_path / "bin" / "journalctl"
    entries.touch()
    program.parent.mkdir()
    text = JOURNAL.format(python=sys.executable, called=str(tmp_path / "called"), entries=str(entries))
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def write(said, at=None):
        add(entries, f"{time.time() if at is None else at} {said}\n")

    return write


def said(lines):
    return [line.partition("shop[7]: ")[2] for line in lines]


def test_units_go_on_behind_the_last_entry(journal, tmp_path):
    journal("old", time.time() - 60)
    units = FollowedUnits(["shop"])
    until(lambda: (units.read(), units.mark())[1])
    journal("one")
    assert said(until(units.read)) == ["one"]
    mark = units.mark()
    units.close()
    journal("two")
    journal("three", time.time() - 1)
    units = FollowedUnits(["shop"], mark)
    found = []
    until(lambda: (found.extend(units.read()), len(found) == 2)[1])
    assert said(found) == ["two", "three"]
    os.kill(units._process.pid, signal.SIGKILL)  # what comes while journalctl is started anew is not lost either
    units._wait = 0.1
    until(lambda: (units.read(), units._process is None)[1])
    journal("four")
    assert said(until(units.read)) == ["four"]
    units.close()
    assert f"--after-cursor={mark['cursor']}" in (tmp_path / "called").read_text()


def test_a_place_that_the_journal_has_forgotten_is_said_and_it_goes_on(journal, caplog):
    units = FollowedUnits(["shop"], {"cursor": "lost"})
    units._wait = 0.1
    until(lambda: (units.read(), units._cursor is None)[1])
    until(lambda: (units.read(), units._process)[1])
    journal("new")
    assert said(until(units.read)) == ["new"]
    units.close()
    assert "does not know where we were" in caplog.text


def test_what_is_no_position_is_said_and_begun_anew(tmp_path, caplog):
    for text in ("", "[]", '{"mark": 1, "told": {}}', '{"mark": {}, "told": {"a": "x"}}'):
        (tmp_path / "p").write_text(text)
        assert positions.Position(tmp_path / "p").told == {}
        assert "not a position" in caplog.text


class Watching:
    """`devops-agent watch` with a service that stands in."""

    def __init__(self, folder, service, log):
        self.service, self.log = service, log
        self.env = {**os.environ, "DEVOPS_AGENT_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1"}

    def start(self, *words):
        command = [sys.executable, "-m", "devops_agent", "watch", str(self.log), "--quiet", "0.3", "--url"]
        process = subprocess.Popen(
            [*command, self.service.address, *words], env=self.env, stderr=subprocess.PIPE, text=True
        )
        assert "watching" in process.stderr.readline()
        return process

    def stop(self, process, how):
        process.send_signal(how)
        process.communicate(timeout=60)

    def reported(self):
        return [[name for name in NAMES if f"'{name}'" in each.json["log"]] for each in self.service.asked]


NAMES = ("requests", "numpy", "redis")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_failed_while_nobody_watched_is_reported_once_and_nothing_twice(tmp_path, log, how):
    with standing_in() as service:
        service.answers = {"POST /api/v1/incidents": Say(202, {"batch": "job_1"})}
        watching = Watching(tmp_path, service, log)
        process = watching.start()
        add(log, FAILURE.format("requests"))
        until(lambda: len(service.asked) == 1)
        time.sleep(0.3)
        watching.stop(process, how)
        add(log, FAILURE.format("numpy"))
        log.rename(tmp_path / "app.log.1")
        log.write_text("fine\n" + FAILURE.format("redis"))
        process = watching.start()
        until(lambda: len(service.asked) == 2)
        time.sleep(1.0)
        watching.stop(process, how)
        process = watching.start()
        time.sleep(1.0)
        watching.stop(process, signal.SIGTERM)
        assert watching.reported() == [["requests"], ["numpy", "redis"]]


def test_what_was_not_taken_before_the_end_is_handed_on_after_it_under_the_same_name(tmp_path, log):
    with standing_in() as service:
        service.answers = {"POST /api/v1/incidents": Say(503)}
        watching = Watching(tmp_path, service, log)
        process = watching.start()
        add(log, FAILURE.format("flask"))
        until(lambda: len(service.asked) >= 1)
        watching.stop(process, signal.SIGKILL)
        service.answers = {"POST /api/v1/incidents": Say(202, {"batch": "job_1"})}
        before = len(service.asked)
        process = watching.start()
        until(lambda: len(service.asked) > before)
        time.sleep(0.5)
        watching.stop(process, signal.SIGTERM)
        assert len(service.asked) == before + 1
        assert len({each.headers["idempotency-key"] for each in service.asked}) == 1
        process = watching.start("--place", "shop")  # for another receiver it begins at the end
        time.sleep(1.0)
        watching.stop(process, signal.SIGTERM)
        assert len(service.asked) == before + 1
