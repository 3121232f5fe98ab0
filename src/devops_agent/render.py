"""A report as text for people: plain for pipes and terminals, Markdown for job summaries and comments.

Terminal control characters of the log are taken out, so that a hostile log cannot write to a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from devops_agent.model import (
    Action,
    Attempt,
    Call,
    CheckResult,
    Command,
    Digest,
    Edit,
    End,
    Evidence,
    Outcome,
    Plan,
    Report,
    Restore,
    Run,
    Wait,
    now,
)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MARKS = {True: "pass", False: "FAIL", None: "?"}
_HEADINGS = {
    "resolved": "RESOLVED",
    "no_failure": "NO FAILURE",
    "planned": "PLANNED",
    "needs_approval": "NEEDS APPROVAL",
    "needs_person": "NEEDS A PERSON",
    "unresolved": "UNRESOLVED",
    "error": "ERROR",
}


def clean(text: str, width: int = 400) -> str:
    """One line of foreign text, made harmless and not longer than `width`."""
    line = _CONTROL.sub("", text.replace("\n", " ").replace("\t", "    "))
    return line if len(line) <= width else line[: width - 1] + "…"


def command_text(command: Command) -> str:
    """What a command does, exactly, as a line (an edit: its changed lines)."""
    if isinstance(command, Run):
        where = f"  (in {command.cwd})" if command.cwd else ""
        who = f"  (as {command.user})" if command.user else ""
        return " ".join(_quoted(word) for word in command.argv) + where + who
    if isinstance(command, Edit):
        return f"edit {command.path}\n{command.diff}".rstrip()
    if isinstance(command, Restore):
        return f"put {command.path} back as it was, if nobody has changed it since"
    if isinstance(command, End):
        return f"end process {command.pid} ({command.command}): TERM, after {command.grace:g} s KILL"
    if isinstance(command, Call):
        args = ", ".join(f"{name}={value!r}" for name, value in command.args.items())
        return f"call {command.tool}({args}) of the MCP server {command.server}"
    assert isinstance(command, Wait)  # noqa: S101 (the union is exhaustive)
    long = f"wait up to {command.limit:g} s until" if command.limit else "look once at"
    return f"{long} {command.probe}: {', '.join(command.expect)}"


def to_text(report: Report, excerpt_lines: int = 20) -> str:
    """The whole report as plain text."""
    return "\n".join(_text(report, excerpt_lines)).rstrip() + "\n"


def to_markdown(report: Report, excerpt_lines: int = 30) -> str:
    """The whole report as Markdown; log lines stand in code blocks and cannot end them."""
    return "\n".join(_markdown(report, excerpt_lines)).rstrip() + "\n"


def excerpt(digest: Digest, decisive: set[str], limit: int) -> list[tuple[int, str, bool]]:
    """Lines of the excerpt with their numbers, and whether the diagnosis rests on them; the decisive ones are kept."""
    rows = [(one.line or 0, one.text, one.id in decisive) for one in digest.evidence]
    if len(rows) <= limit:
        return rows
    centre = next((index for index, row in enumerate(rows) if row[2]), 0)
    start = max(0, min(centre - limit // 2, len(rows) - limit))
    return rows[start : start + limit]


def _text(report: Report, limit: int) -> Iterator[str]:
    yield f"{_HEADINGS[report.status]}  {report.summary}"
    yield ""
    first = report.attempts[0].diagnosis if report.attempts else None
    if report.digest is not None and report.digest.evidence:
        lines = report.digest.lines_read
        yield f"Log: {lines} line{'s' if lines != 1 else ''}, format {report.digest.format}"
        for number, line, decisive in excerpt(report.digest, set(first.evidence if first else ()), limit):
            yield f" {'>' if decisive else ' '} {number:>6}  {clean(line)}"
        yield ""
    for number, attempt in enumerate(report.attempts, 1):
        if len(report.attempts) > 1:
            yield f"Attempt {number}"
        yield from _attempt(attempt)
    yield from _usage(report)
    if report.status == "needs_approval":
        yield from _how_to_approve(report)


def _usage(report: Report) -> Iterator[str]:
    """What asking a model cost, where one was asked."""
    used = report.usage
    if not used.requests:
        return
    money = "its price is not known" if used.unpriced else f"${used.dollars:.4f}"
    asked = f"{used.requests} request{'s' if used.requests > 1 else ''} to {clean(', '.join(used.models), 100)}"
    failed = f", {used.failed} without an answer" if used.failed else ""
    yield f"Model: {asked}{failed}; {used.tokens_in} tokens in, {used.tokens_out} out; {money}; {used.seconds:.1f} s"


def _attempt(attempt: Attempt) -> Iterator[str]:
    diagnosis = attempt.diagnosis
    if diagnosis is None:
        return
    if diagnosis.failure:  # else the report's summary has said so
        yield f"Cause: {diagnosis.cause}  (confidence {diagnosis.confidence:.2f})"
        if diagnosis.summary:
            yield f"  {clean(diagnosis.summary)}"
    if diagnosis.judged:
        yield f"  of {diagnosis.judged} earlier answers of this kind that were judged, {diagnosis.right} right"
    if diagnosis.planner == "model":
        yield f"  concluded by a model in {diagnosis.turns} turns; no runbook says so"
    yield from (f"  note: {clean(remark)}" for remark in diagnosis.remarks)
    for name, value in diagnosis.facts.items():
        yield f"  {name}: {clean(str(value), 120)}"
    for other in diagnosis.alternatives[:3]:
        if other.confidence >= 0.005:
            yield f"  or: {other.cause} ({other.confidence:.2f})"
    if diagnosis.looked:
        yield "Looked at:"
        for seen in diagnosis.looked:
            yield f"  {clean(seen.id, 100)}: {clean(_looked(seen), 200)}"
    if diagnosis.advice and not (attempt.verification and attempt.verification.over):
        yield "What to do:"
        yield from (f"  {number}. {clean(step)}" for number, step in enumerate(diagnosis.advice, 1))
        yield from (f"  see {link}" for link in diagnosis.references)
    if attempt.plan is not None and (attempt.plan.actions or attempt.plan.refused):
        yield from _plan(attempt.plan, attempt)
    yield from _proof(attempt)
    yield ""


def _looked(seen: Evidence) -> str:
    """What a probe saw; fields that hold nothing are left out."""
    if seen.data is None:
        return seen.text
    said = {name: value for name, value in seen.data.items() if value not in (None, "", [], {})}
    return ", ".join(f"{name}: {_value(value)}" for name, value in said.items()) or "nothing"


def _value(value: object) -> str:
    """A value as people read it: a time of the system as a date, no more digits than were measured."""
    if isinstance(value, float):
        if 1e9 < value < 1e10:
            return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"{round(value, 3):g}" if abs(value) < 1e5 else f"{value:.0f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)


def _plan(plan: Plan, attempt: Attempt) -> Iterator[str]:
    yield f"Plan {plan.fingerprint[:12]}:"
    outcomes = {outcome.action_id: outcome for outcome in attempt.outcomes}
    for action in plan.actions:
        yield from _action(action, outcomes.get(action.id))
    for refusal in plan.refused:
        yield f"  refused: {refusal.tool}: {clean(refusal.reason)}"
    if attempt.ruling is not None:
        yield f"  policy: {attempt.ruling.verdict} ({clean(attempt.ruling.reason)})"
    if attempt.approval is not None:
        word = "approved" if attempt.approval.granted else "denied"
        reason = f": {clean(attempt.approval.reason)}" if attempt.approval.reason else ""
        yield f"  {word} by {clean(attempt.approval.by)}{reason}"
    if attempt.recheck is not None and attempt.recheck.reason and plan.actions:
        yield f"  looked again before acting: {attempt.recheck.reason}"


def _action(action: Action, outcome: Outcome | None) -> Iterator[str]:
    why = f": {action.why}" if action.why else ""
    yield f"  {action.id}. {action.tool} [{action.effect}, {action.host}]{clean(why)}"
    if action.already:
        yield "       it was so already when this was planned; done only if it is not so then"
    for command in action.commands:
        yield from (f"       {clean(line)}" for line in command_text(command).splitlines())
    if outcome is not None:
        yield f"     = {outcome.status}{_said(outcome)}"


def _said(outcome: Outcome) -> str:
    last = next((line for line in reversed(outcome.output.splitlines()) if line.strip()), "")
    return f": {clean(last, 160)}" if last else ""


def _proof(attempt: Attempt) -> Iterator[str]:
    verification = attempt.verification
    if verification is None:
        return
    results = verification.after + verification.checks
    if results:
        yield "Proof:"
        was = {result.name: result for result in verification.before}
        for result in results:
            yield f"  {_MARKS[result.passed]:<5} {clean(result.name, 100)}{_before(result, was)}"
    for name in verification.newly_broken:
        yield f"  NEWLY BROKEN: {clean(name)}"
    for outcome in (one for one in attempt.undone if one.status != "skipped"):
        yield f"  undone {outcome.action_id}: {outcome.status}"


def _before(result: CheckResult, was: dict[str, CheckResult]) -> str:
    before = was.get(result.name)
    changed = f"  (before: {_MARKS[before.passed]})" if before is not None and before.passed != result.passed else ""
    detail = f"  {clean(result.detail, 160)}" if result.passed is not True and result.detail else ""
    return changed + detail


def _how_to_approve(report: Report) -> Iterator[str]:
    waiting = report.attempts[-1]
    if waiting.request is not None and waiting.request.expires <= now():
        yield f"The request for approval expired at {waiting.request.expires:%Y-%m-%d %H:%M} UTC; handle the log again."
    elif waiting.request is not None:
        yield f"Waits for approval until {waiting.request.expires:%Y-%m-%d %H:%M} UTC:"
        job = report.job or report.incident.id
        yield f"  devops-agent approve {job}        (or: devops-agent deny {job})"


def _markdown(report: Report, limit: int) -> Iterator[str]:
    yield f"## {_HEADINGS[report.status].capitalize()}"
    yield ""
    yield _escaped(report.summary)
    yield ""
    first = report.attempts[0].diagnosis if report.attempts else None
    if report.digest is not None and report.digest.evidence:
        yield "<details open><summary>The lines that matter</summary>"
        yield ""
        yield "````text"
        for number, line, decisive in excerpt(report.digest, set(first.evidence if first else ()), limit):
            yield f"{'>' if decisive else ' '} {number:>6}  {clean(line).replace('````', '` ` ` `')}"
        yield "````"
        yield ""
        yield "</details>"
        yield ""
    for number, attempt in enumerate(report.attempts, 1):
        found = [line.replace("````", "` ` ` `") for line in _attempt(attempt)]
        if not any(found):
            continue
        yield f"### Attempt {number}" if len(report.attempts) > 1 else "### What was found"
        yield ""
        yield "````text"
        yield from found
        yield "````"
        yield ""
    yield from _usage(report)
    if report.status == "needs_approval":
        yield "````text"
        yield from _how_to_approve(report)
        yield "````"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|~!@])", r"\\\1", clean(text, 2000))


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)
