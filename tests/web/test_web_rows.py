"""A report as a row of the contract, and its parts in words."""

from datetime import timedelta

import pytest

from devops_agent.model import (
    Action,
    Alternative,
    ApprovalRequest,
    Attempt,
    CheckResult,
    Diagnosis,
    Digest,
    Edit,
    End,
    Evidence,
    Incident,
    Outcome,
    Plan,
    Refusal,
    Report,
    Restore,
    Run,
    Step,
    Verification,
    Wait,
    now,
)
from devops_agent.web import contract, words

LINES = (
    Evidence(id="log:3", source="log", line=3, text="starting"),
    Evidence(id="log:4", source="log", line=4, text="Error: listen EADDRINUSE :::8000"),
)
KNOWN = Diagnosis(
    cause="port_in_use",
    summary="Port 8000 is held by a stray process",
    confidence=0.93,
    evidence=("log:4",),
    facts={"port": "8000"},
    alternatives=(Alternative(cause="service_failed", confidence=0.05),),
    looked=(
        Evidence(id="port_owner(port=8000)#1", source="port_owner", text="pid: 7", data={"pid": 7}),
        Evidence(id="service_status(service=web)#1", source="service_status", text="could not look: gone"),
    ),
    planned=(Step(tool="read_log"), Step(tool="free_port", args={"port": 8000}, when="on_port_conflict")),
    advice=("give one of the two another port",),
)
FREE = Action(
    id="a1",
    tool="free_port",
    args={"port": 8000},
    effect="destroy",
    commands=(End(pid=7, started=1, command="python stray.py"),),
    why="frees the port",
    when="on_port_conflict",
)
PLAN = Plan(cause="port_in_use", actions=(FREE,)).sealed()


def report(status, *attempts, log="starting\nError: listen EADDRINUSE :::8000", digest=True, **more):
    seen = Digest(evidence=LINES, lines_read=4, failing=True) if digest else None
    return Report(incident=Incident(id="i", log=log), digest=seen, attempts=attempts, status=status, **more)


def test_resolved():
    attempt = Attempt(
        diagnosis=KNOWN,
        plan=PLAN,
        outcomes=(Outcome(action_id="a1", status="succeeded", output="process 7 ended"),),
        verification=Verification(
            cause_gone=True, over=True, after=(CheckResult(name="web", passed=True, detail="200"),)
        ),
    )
    row = contract.row(1, "job_1", report("resolved", attempt))
    assert row["status"] == "success"
    assert row["tools_used"] == ["port_owner", "service_status", "free_port"]
    assert [each["status"] for each in row["tool_results"]] == ["success", "error", "success"]
    assert [(each["tool"], each["when"]) for each in row["planned_actions"]] == [
        ("read_log", "always"),
        ("free_port", "on_port_conflict"),
    ]
    assert row["planned_actions"][1]["commands"] == ["end process 7 (python stray.py): gently, by force after 5 s"]
    text = row["final_response"]
    for said in (
        "Port 8000 is held by a stray process.",
        "port_in_use (93 % sure); also possible: service_failed (5 %)",
        "line 4: Error: listen EADDRINUSE :::8000",
        "port_owner(port=8000): pid: 7",
        "1. free_port(port=8000) — frees the port [ends or deletes something]",
        "free_port(port=8000): done: process 7 ended",
        "cause gone: yes; incident over: yes",
        "web: passes (200)",
    ):
        assert said in text
    assert "Next:" not in text
    assert "line 3" not in text


def test_waiting_says_what_until_and_how():
    request = ApprovalRequest(fingerprint=PLAN.fingerprint, expires=now() + timedelta(hours=1))
    row = contract.row(1, "job_1", report("needs_approval", Attempt(diagnosis=KNOWN, plan=PLAN, request=request)))
    assert row["approval"]["until"] == request.expires.isoformat()
    assert row["approval"]["actions"] == ["free_port(port=8000)"]
    assert f"until {request.expires.isoformat()}" in row["final_response"]
    assert "POST /jobs/job_1/approve" in row["final_response"]


def test_unknown():
    attempt = Attempt(diagnosis=Diagnosis(), plan=Plan())
    row = contract.row(1, "j", report("needs_person", attempt))
    assert row["final_response"].startswith("Not enough information to proceed")
    assert "line 4: Error: listen EADDRINUSE" in row["final_response"]
    assert "Send more of the log" in row["final_response"]
    assert row["planned_actions"] == row["tool_results"] == row["tools_used"] == []


def test_no_failure():
    attempt = Attempt(diagnosis=Diagnosis(failure=False))
    text = contract.row(1, "j", report("no_failure", attempt))["final_response"]
    assert text.startswith("No failure is visible")
    assert "line 4" not in text


def test_an_error_keeps_what_is_known():
    row = contract.row(2, "j", report("error", error="no place 'x'"))
    assert (row["status"], row["error_message"]) == ("error", "no place 'x'")
    assert row["error_context"].startswith("starting")
    assert "error_message" in contract.lost(1, "j", "gone")


def test_refused_and_unknown_outcomes_are_told():
    refused = Plan(refused=(Refusal(tool="free_port", args={"port": 1}, reason="it is somebody else's"),))
    row = contract.row(1, "j", report("needs_person", Attempt(diagnosis=KNOWN, plan=refused)))
    assert row["refused_actions"] == [{"tool": "free_port", "params": {"port": 1}, "reason": "it is somebody else's"}]
    assert "refused: free_port(port=1): it is somebody else's" in row["final_response"]
    outcomes = (Outcome(action_id="a1", status="unknown"), Outcome(action_id="a2", status="skipped"))
    row = contract.row(1, "j", report("unresolved", Attempt(diagnosis=KNOWN, plan=PLAN, outcomes=outcomes)))
    assert row["tool_results"][-1]["outcome"] == "unknown"
    assert row["tool_results"][-1]["status"] == "error"
    assert "whether it took effect is not known" in row["final_response"]


def test_context_of_a_long_log():
    text = contract.context(report("resolved", log="a" * 30_000 + "b" * 30_000))
    assert len(text) < 21_000
    assert text.startswith("aaa")
    assert text.endswith("bbb")
    assert "40000 characters left out" in text
    assert contract.context(report("resolved", log="")) == "starting\nError: listen EADDRINUSE :::8000"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Run(argv=("sv", "restart", "a b")), "sv restart 'a b'"),
        (Run(argv=("ls",), user="www", cwd="/srv"), "ls   (as www, in /srv)"),
        (Edit(path="/e", editor="env", args={"A": "1"}, before="x", after="y"), "edit /e: env(A=1)"),
        (
            Restore(path="/e", before="x", after="y"),
            "put the kept copy of /e back, if nobody has changed it since",
        ),
        (
            Wait(probe="tcp", args={"port": 1}, expect=("result.open == true",), limit=5),
            "look with tcp(port=1) until result.open == true, for at most 5 s",
        ),
    ],
)
def test_commands_in_words(command, expected):
    assert words.command(command) == expected


def test_confidence_is_not_rounded_up_to_certainty():
    assert [words.percent(each) for each in (0, 0.004, 0.5, 0.999, 1)] == ["0 %", "0 %", "50 %", "99 %", "100 %"]
