"""What is told: the cause, the lines it rests on, the plan, what became of it, and where to go on.

Text of logs is data here too: it cannot call everybody in a chat, end a code block, or carry a configured secret along.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from devops_agent.model import UNKNOWN, Attempt, Report
from devops_agent.render import clean, command_text, to_markdown

LINES = 5
COMMANDS = 12
LONGEST = 6000
_HEADINGS = {
    "approval": "Approval wanted",
    "resolved": "Resolved",
    "needs_person": "A person is needed",
    "unresolved": "Not resolved",
    "planned": "Planned",
    "no_failure": "No failure",
    "error": "The agent failed",
}
_CALLS = re.compile(r"(@|<!)(?=everyone|here|channel|all\b|team|subteam|group)", re.IGNORECASE)


@dataclass(frozen=True)
class Message:
    """One message in the forms that channels take."""

    event: str
    title: str
    text: str
    markdown: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Addresses:
    """Where the reader goes on: the incident's page, and a link that decides, for its one reader."""

    page: str = ""
    link: str = ""
    person: str = ""


def compose(event: str, job: str, report: Report, addresses: Addresses, secrets: Sequence[str] = ()) -> Message:
    """The message about a job as it is now."""
    last = report.attempts[-1] if report.attempts else Attempt()
    said = _tame(_scrub(report.incident.title or job, secrets))
    title = f"{_HEADINGS[event]}: {clean(said, 150)}"
    parts = [
        clean(report.summary, 1000),
        _cause(last),
        _evidence(report, last),
        _plan(last),
        _going_on(event, job, last),
    ]
    body = _tame(_scrub("\n\n".join(filter(None, parts)), secrets))[:LONGEST]
    where = _where(event, addresses)
    return Message(
        event=event,
        title=title,
        text=f"{body}\n\n{where}".strip(),
        markdown=_tame(_scrub(to_markdown(report), secrets)) + (f"\n{addresses.page}\n" if addresses.page else ""),
        data=_data(event, job, report, last, addresses, secrets),
    )


def _cause(last: Attempt) -> str:
    found = last.diagnosis
    if found is None or not found.failure:
        return ""
    if found.cause == UNKNOWN:
        return "Cause: not known"
    return f"Cause: {found.cause} ({found.confidence:.0%} sure)"


def _evidence(report: Report, last: Attempt) -> str:
    if report.digest is None or last.diagnosis is None:
        return ""
    cited = [each for each in report.digest.evidence if each.id in set(last.diagnosis.evidence)]
    shown = [f"  line {each.line}: {clean(each.text, 200)}" for each in cited[:LINES]]
    return "\n".join(["Evidence:", *shown]) if shown else ""


def _plan(last: Attempt) -> str:
    plan = last.plan
    if plan is None or not plan.actions:
        return ""
    lines = [f"Plan {plan.fingerprint[:12]}:"]
    for action in plan.actions:
        lines.append(f"  {action.id}. {action.tool} [{action.effect}, {action.host}] {clean(action.why, 150)}".rstrip())
        for command in action.commands:
            lines += [f"       {clean(line, 200)}" for line in command_text(command).splitlines()]
    if len(lines) > COMMANDS:
        lines = [*lines[:COMMANDS], f"  … and {len(lines) - COMMANDS} more lines; the page shows all"]
    return "\n".join(lines)


def _going_on(event: str, job: str, last: Attempt) -> str:
    if event == "approval" and last.request is not None:
        several = f" {last.request.persons} persons must approve." if last.request.persons > 1 else ""
        until = f"Waits for approval until {last.request.expires:%Y-%m-%d %H:%M} UTC."
        return f"{until}{several}\nCommand: devops-agent approve {job}"
    if event in ("needs_person", "unresolved") and last.diagnosis is not None and last.diagnosis.advice:
        return "\n".join(["What to do:", *(f"  - {clean(step, 300)}" for step in last.diagnosis.advice[:5])])
    return ""


def _where(event: str, addresses: Addresses) -> str:
    lines = [f"Incident: {addresses.page}"] if addresses.page else []
    if event == "approval" and addresses.link:
        lines.append(f"Decide, as {addresses.person} (works once, for this plan only): {addresses.link}")
    return "\n".join(lines)


def _data(
    event: str, job: str, report: Report, last: Attempt, addresses: Addresses, secrets: Sequence[str]
) -> dict[str, Any]:
    found, plan = last.diagnosis, last.plan
    cited = set(found.evidence) if found else set()
    lines = report.digest.evidence if report.digest else ()
    data: dict[str, Any] = {
        "job": job,
        "status": report.status,
        "title": report.incident.title,
        "place": report.incident.place,
        "labels": report.incident.labels,
        "summary": report.summary,
        "cause": found.cause if found else None,
        "confidence": found.confidence if found else None,
        "evidence": [{"line": each.line, "text": each.text} for each in lines if each.id in cited][:20],
        "plan": None,
        "page": addresses.page or None,
    }
    if plan is not None and plan.actions:
        actions = [
            {
                "tool": each.tool,
                "effect": each.effect,
                "host": each.host,
                "commands": [command_text(command) for command in each.commands],
            }
            for each in plan.actions
        ]
        data["plan"] = {"fingerprint": plan.fingerprint, "actions": actions}
    made: dict[str, Any] = _scrubbed(data, secrets)
    if event == "approval" and addresses.link:
        made["approve"] = {"person": addresses.person, "link": addresses.link}
    return made


def _scrubbed(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return _scrub(value, secrets)
    if isinstance(value, dict):
        return {name: _scrubbed(each, secrets) for name, each in value.items()}
    if isinstance(value, list):
        return [_scrubbed(each, secrets) for each in value]
    return value


def _scrub(text: str, secrets: Sequence[str]) -> str:
    """Without secrets: those configured, and what looks like one."""
    from devops_agent.distil.redact import redact

    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return redact(text)[0]


def _tame(text: str) -> str:
    """Text that calls nobody in a chat."""
    return _CALLS.sub("\\1\u200b", text)
