"""`handle`, `approve`, `deny`, `jobs` and `job` on a real port conflict: statuses, exit statuses, what is touched."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devops_agent.model import Report

from .conftest import HEALTHY_LOG, Agent, Conflict, Ran


def _report(ran: Ran) -> Report:
    return Report.model_validate_json(ran.stdout)


def _waiting(agent: Agent) -> str:
    listed = json.loads(agent("jobs", "--json", "--status", "waiting").stdout)
    assert [job["waiting"] for job in listed] == ["approval"]
    return str(listed[0]["id"])


def test_a_dry_run_plans_and_touches_nothing(agent: Agent, conflict: Conflict) -> None:
    ran = agent("handle", conflict.log, "--inventory", conflict.inventory, "--dry-run", "--yes", "--json")
    report = _report(ran)
    assert (ran.returncode, report.status) == (3, "planned")
    plan = report.attempts[-1].plan
    assert plan is not None
    assert [action.tool for action in plan.actions] == ["free_port", "start_service"]
    assert conflict.stray.poll() is None
    assert not conflict.shop_is_up()


def test_yes_repairs_and_proves(agent: Agent, conflict: Conflict) -> None:
    ran = agent("handle", conflict.log, "--inventory", conflict.inventory, "--yes", "--json")
    report = _report(ran)
    assert (ran.returncode, report.status) == (0, "resolved"), ran.stderr
    last = report.attempts[-1]
    assert last.verification is not None
    assert last.verification.over
    assert last.approval is not None
    assert "--yes" in last.approval.by
    assert conflict.stray.wait(5) is not None
    assert conflict.shop_is_up()


def test_what_policy_asks_waits_and_goes_on_once_approved(agent: Agent, conflict: Conflict) -> None:
    ran = agent("handle", conflict.log, "--inventory", conflict.inventory)
    assert ran.returncode == 3
    assert ran.stdout.startswith(b"NEEDS APPROVAL")
    assert conflict.stray.poll() is None
    name = _waiting(agent)
    assert name.encode() in agent("jobs").stdout
    fingerprint = _report(agent("job", name, "--json")).attempts[-1].plan.fingerprint  # type: ignore[union-attr]
    other = agent("approve", name, "--plan", "0" * 12)
    assert other.returncode == 2
    assert b"another plan" in other.stderr
    approved = agent("approve", name, "--plan", fingerprint, "--reason", "seen", "--json")
    report = _report(approved)
    assert (approved.returncode, report.status) == (0, "resolved")
    assert report.attempts[-1].approval.reason == "seen"  # type: ignore[union-attr]
    assert conflict.stray.wait(5) is not None
    again = agent("approve", name)
    assert again.returncode == 2
    assert b"does not wait for approval" in again.stderr


def test_a_request_that_has_expired_ends_with_who_tries_it(agent: Agent, conflict: Conflict) -> None:
    agent("handle", conflict.log, "--inventory", conflict.inventory, env={"DEVOPS_AGENT_APPROVAL_SECONDS": "1"})
    name = _waiting(agent)
    time.sleep(1.1)
    shown = agent("job", name).stdout
    assert b"expired at" in shown
    assert b"devops-agent approve" not in shown
    late = agent("approve", name)
    assert late.returncode == 2
    assert b"handle the log again" in late.stderr
    ended = json.loads(agent("jobs", "--json").stdout)[0]
    assert (ended["status"], ended["outcome"]) == ("done", "needs_person")
    assert conflict.stray.poll() is None


def test_a_job_is_called_by_its_decisive_line(agent: Agent, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text(
        "Traceback (most recent call last):\n  File 'a.py', line 1\nOSError: [Errno 98] Address already in use\n"
    )
    agent("handle", str(log), "--dry-run")
    assert json.loads(agent("jobs", "--json").stdout)[0]["title"] == "OSError: [Errno 98] Address already in use"


def test_two_forms_at_once_are_refused(agent: Agent) -> None:
    ran = agent("handle", "-", "--json", "--markdown", said=b"x")
    assert ran.returncode == 2
    assert b"--markdown: give either" in ran.stderr


def test_the_audit_trail_tells_all_of_it_and_notices_a_changed_entry(
    agent: Agent, conflict: Conflict, tmp_path: Path
) -> None:
    agent("handle", conflict.log, "--inventory", conflict.inventory, "--yes")
    shown = agent("audit", "--json")
    said = json.loads(shown.stdout)
    assert (shown.returncode, said["intact"], said["problems"]) == (0, True, [])
    events = [entry["event"] for entry in said["entries"]]
    assert events[0] == "submitted"
    assert [event for event in events if event in ("planned", "approved", "action ended", "verified")] == [
        "planned",
        "approved",
        "action ended",
        "action ended",
        "verified",
    ]
    planned = next(entry for entry in said["entries"] if entry["event"] == "planned")
    assert planned["data"]["actions"][0]["commands"][0]["pid"] == conflict.stray.pid
    job = said["entries"][0]["job"]
    assert b"free_port" in agent("audit", job, "--limit", "1000").stdout
    with sqlite3.connect(tmp_path / "data" / "devops_agent.db") as database:
        database.execute("UPDATE audit SET actor = 'somebody' WHERE event = 'approved'")
    changed = agent("audit")
    assert changed.returncode == 3
    assert b"was changed after it was written" in changed.stderr


def test_what_is_denied_is_not_done(agent: Agent, conflict: Conflict) -> None:
    agent("handle", conflict.log, "--inventory", conflict.inventory)
    ran = agent("deny", _waiting(agent), "--reason", "not now")
    assert ran.returncode == 3
    assert b"NEEDS A PERSON" in ran.stdout
    assert b"not now" in ran.stdout
    assert conflict.stray.poll() is None


@pytest.mark.parametrize("how", ["policy", "read-only"])
def test_yes_does_not_approve_what_is_denied(agent: Agent, conflict: Conflict, how: str) -> None:
    policy = conflict.folder / "policy.yaml"
    policy.write_text("- {deny: {effect: destroy}}\n- {allow: {effect: change}}\n")
    arguments = ["--policy", str(policy)] if how == "policy" else []
    env = {"DEVOPS_AGENT_READ_ONLY": "1"} if how == "read-only" else {}
    ran = agent("handle", conflict.log, "--inventory", conflict.inventory, "--yes", "--json", *arguments, env=env)
    report = _report(ran)
    assert ran.returncode == 3
    assert report.attempts[-1].ruling.verdict == "deny"  # type: ignore[union-attr]
    assert report.attempts[-1].outcomes == () or all(o.status == "skipped" for o in report.attempts[-1].outcomes)
    assert conflict.stray.poll() is None


def test_a_person_at_the_terminal_is_asked(environment: dict[str, str], conflict: Conflict) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "devops_agent", "handle", conflict.log, "--inventory", conflict.inventory],
        env={**environment, "TERM": "xterm", "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    deadline = time.monotonic() + 60
    while b"Carry this plan out? [y/N]" not in said and time.monotonic() < deadline:
        said += os.read(ours, 4096)
    assert conflict.stray.poll() is None
    os.write(ours, b"y\n")
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:
        pass
    os.close(ours)
    assert process.wait(60) == 0, said.decode()
    assert b"RESOLVED" in said
    assert conflict.stray.wait(5) is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_ends_its_commands_and_the_job(
    agent: Agent, environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    file = str(tmp_path / "pid")
    program = f"import os, time; print(os.getpid(), file=open({file!r}, 'w'), flush=True); time.sleep(60)"
    check = {"checks": {"slow": {"command": [sys.executable, "-c", program], "timeout": 100}}}
    (tmp_path / "inventory.yaml").write_text(json.dumps(check))
    (tmp_path / "x.log").write_text("ERROR: something broke\nexit code 1\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "devops_agent", "handle", "x.log", "--inventory", "inventory.yaml"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 40
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int((tmp_path / "pid").read_text())
    process.send_signal(number)
    said, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said == b""
    assert b"was ended" in errors
    assert b"Traceback" not in errors
    assert not Path(f"/proc/{pid}").exists()
    jobs = json.loads(agent("jobs", "--json").stdout)
    assert [job["status"] for job in jobs] == ["error"]
    assert number.name in jobs[0]["error"]


def test_a_log_without_failure_needs_nothing(agent: Agent) -> None:
    ran = agent("handle", "--json", said=HEALTHY_LOG.encode())
    report = _report(ran)
    assert (ran.returncode, report.status) == (0, "no_failure")
    jobs = json.loads(agent("jobs", "--json").stdout)
    assert [(job["status"], job["outcome"]) for job in jobs] == [("done", "no_failure")]


def test_an_unknown_failure_needs_a_person(agent: Agent) -> None:
    ran = agent("handle", said=b"step one\nERROR: the frobnicator has left the building\nexit code 9\n")
    assert ran.returncode == 3
    assert ran.stdout.startswith(b"NEEDS A PERSON")
    assert b"frobnicator" in ran.stdout


def test_secrets_do_not_reach_the_database_or_the_report(agent: Agent, tmp_path: Path) -> None:
    secret = "hunter2hunter2hunter2"
    log = f"export DB_PASSWORD={secret}\nERROR: login failed for https://me:{secret}@db.example/\nexit code 1\n"
    ran = agent("handle", "--json", said=log.encode())
    assert ran.returncode == 3
    assert secret.encode() not in ran.stdout
    kept = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("services: {web: {ports: [none]}}", "services.web.ports.0"),
        ("sevices: {}", "sevices"),
        ("- a\n- b", "mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_inventory_is_named_with_its_field(agent: Agent, tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(content)
    ran = agent("handle", "--inventory", str(file), said=b"ERROR: x\n")
    assert ran.returncode == 2
    assert "inventory.yaml" in ran.stderr.decode()
    assert named in ran.stderr.decode()
    assert "Traceback" not in ran.stderr.decode()


def test_a_folder_of_several_places_is_refused(agent: Agent, tmp_path: Path) -> None:
    places = tmp_path / "places"
    places.mkdir()
    (places / "one.yaml").write_text("labels: {env: one}\n")
    (places / "two.yaml").write_text("labels: {env: two}\n")
    ran = agent("handle", "--inventory", str(places), said=b"ERROR: x\n")
    assert ran.returncode == 2
    assert b"several places (one, two)" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("handle", "--inventory", "missing.yaml"), "missing.yaml"),
        (("handle", "--policy", "missing.yaml"), "missing.yaml"),
        (("handle", "missing.log"), "missing.log"),
        (("handle", "--baseline", "missing.log"), "--baseline"),
        (("handle", "--planner", "model"), "DEVOPS_AGENT_PLANNER"),
        (("job", "job_x"), "no job 'job_x'"),
        (("approve", "job_x"), "no job 'job_x'"),
        (("deny", "job_x"), "no job 'job_x'"),
        (("audit", "job_x"), "no job 'job_x'"),
        (("jobs", "--status", "lost"), "--status"),
    ],
)
def test_wrong_usage_is_named(agent: Agent, arguments: tuple[str, ...], named: str) -> None:
    ran = agent(*arguments)
    assert ran.returncode == 2, ran.stderr
    assert named in ran.stderr.decode()
    assert "Traceback" not in ran.stderr.decode()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("nonsense", "Could not parse"),
        ("sqlite:////proc/nowhere/x.db", "/proc/nowhere"),
        ("sqlite:///garbage.db", "not a database"),
        ("nonsense://x/y", "nonsense"),
    ],
)
def test_a_database_that_cannot_be_used_is_named(agent: Agent, tmp_path: Path, url: str, named: str) -> None:
    (tmp_path / "garbage.db").write_bytes(b"this is no database, whatever its name says" * 100)
    ran = agent("jobs", env={"DEVOPS_AGENT_DATABASE_URL": url})
    assert ran.returncode in (1, 2)
    assert named in ran.stderr.decode()
    assert "Traceback" not in ran.stderr.decode()
