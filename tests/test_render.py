"""A report as people read it at three in the morning: no digits, names or sentences that say nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from devops_agent import policy, render, report
from devops_agent.model import (
    Alternative,
    ApprovalRequest,
    Attempt,
    Diagnosis,
    Digest,
    Evidence,
    Incident,
    Report,
    Wait,
    now,
)


def text(diagnosis: Diagnosis, **more: Any) -> str:
    digest = Digest(
        evidence=(Evidence(id="log:1", source="log", line=1, text="it fails"),),
        lines_read=1,
        bytes_read=9,
        format="plain",
    )
    attempt = Attempt(diagnosis=diagnosis, **more)
    incident = Incident(id="inc_1", title="it fails", log="it fails")
    status = "needs_approval" if "request" in more else "needs_person"
    return render.to_text(Report(incident=incident, digest=digest, attempts=(attempt,), status=status, summary="Said."))


def test_what_was_seen_is_said_without_noise() -> None:
    seen = {
        "pid": None,
        "names": [],
        "up": True,
        "seconds": 9.0099999999984,
        "since": 1795375158.01,
        "ports": (80, 443),
    }
    looked = Evidence(id="look", source="probe", text="pid: None", data=seen)
    unlikely = Alternative(cause="other", confidence=0.001)
    shown = text(Diagnosis(cause="port_in_use", confidence=0.9, looked=(looked,), alternatives=(unlikely,)))
    assert "  look: up: yes, seconds: 9.01, since: 2026-11-22 19:19:18 UTC, ports: 80, 443\n" in shown
    assert "Log: 1 line, format plain" in shown
    assert "or: other" not in shown


def test_a_wait_without_a_limit_looks_once() -> None:
    wait = Wait(probe="service_settles", expect=("result.stays == true",), limit=0)
    assert render.command_text(wait) == "look once at service_settles: result.stays == true"


def test_a_request_that_expired_offers_no_approval() -> None:
    diagnosis = Diagnosis(cause="port_in_use", confidence=0.9)
    open_one = ApprovalRequest(fingerprint="f" * 32, expires=now() + timedelta(hours=1))
    assert "devops-agent approve" in text(diagnosis, request=open_one)
    gone = open_one.model_copy(update={"expires": now() - timedelta(seconds=1)})
    shown = text(diagnosis, request=gone)
    assert "expired at" in shown
    assert "devops-agent approve" not in shown


def test_where_nothing_failed_there_is_no_cause() -> None:
    shown = text(Diagnosis(cause="unknown", confidence=0.0, failure=False, summary="The log shows no failure."))
    assert "Cause:" not in shown


def test_a_rule_is_named_as_it_is_written() -> None:
    fit = policy.Fit(effect=("destroy",), tool=("a", "b"), labels={"env": "x"}, persons=2)
    assert policy._words(fit) == "{tool: [a, b], effect: destroy, labels: {env: x}, persons: 2}"


def test_a_sentence_ends_once() -> None:
    whole = ("Look.", "Is it up?", "Does it listen (not only on 127.0.0.1)?")
    assert [report._ended(each) for each in (*whole, "Look")] == [*whole, "Look."]
