"""The report: everything about one incident, derived from its journal at any moment, also while it waits."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from devops_agent.model import UNKNOWN, Attempt, Cost, Digest, Incident, Report, Status, revive
from devops_agent.run import STOPPED, Journal, MemoryJournal, attempts, record_of
from devops_agent.usage import total

_PROGRESS = {
    "distil": 15,
    "health": 25,
    "diagnosis": 45,
    "proposal": 50,
    "plan": 55,
    "review": 60,
    "approval": 65,
    "recheck": 70,
    "verified": 90,
    "verification": 95,
}


def report(
    incident: Incident, journal: Journal, dry_run: bool = False, error: str | None = None, job: str | None = None
) -> Report:
    """All kept records of one incident, its status and a summary in a sentence.

    Records that another version of the code kept may be unreadable to this one; they are then left out, and the report
    says so.
    """
    try:
        return _report(incident, journal, dry_run, error, job)
    except (KeyError, ValidationError):
        text = error or "its records were kept by another version of devops_agent, which alone can read them"
        return _report(incident, MemoryJournal(), dry_run, text, job)


def _report(incident: Incident, journal: Journal, dry_run: bool, error: str | None, job: str | None) -> Report:
    made = attempts(journal)
    closed = journal.get("closed")
    status = "resolved" if closed and error is None else _status(made, dry_run, error)
    used = total(call for attempt in made for call in attempt.calls)
    digest: Digest | None = record_of(journal, "distil")
    summary = _closed(revive(closed).text, made) if closed and error is None else _summary(made, status, error)
    if status == "no_failure" and digest is not None and not digest.bytes_read:
        summary = "The log is empty."
    return Report(
        job=job,
        incident=incident,
        digest=digest,
        health=record_of(journal, "health"),
        attempts=made,
        status=status,
        summary=summary,
        error=error,
        usage=used,
        cost=Cost(requests=used.requests, tokens=used.tokens, dollars=used.dollars),
    )


def called(made: Report) -> dict[str, str | None]:
    """What lists and statistics show of an incident: its cause, who named it, and its title, or the line that decided
    where nobody gave it one."""
    last = made.attempts[-1].diagnosis if made.attempts else None
    title = made.incident.title
    if last is not None and made.digest is not None and not made.incident.titled:
        cited = [each for each in made.digest.evidence if each.id in last.evidence and last.cause != UNKNOWN]
        title = next(filter(None, (each.text.strip() for each in cited or striking(made))), title)
    named = {name: (getattr(last, name, None) or "")[:80] or None for name in ("cause", "runbook", "finding")}
    return {"title": title[:200], **named}


def striking(made: Report, most: int = 8) -> list[Any]:
    """Of an excerpt without a conclusion: the first lines that speak of an error, or else its end."""
    told = [each for each in made.digest.evidence if each.text.strip()] if made.digest else []
    return [each for each in told if _TROUBLE.search(each.text)][:most] or told[-most:]


_TROUBLE = re.compile(
    r"error|fatal|fail|exception|panic|traceback|refused|denied|cannot|unable|not found|killed|abort|time.?out",
    re.IGNORECASE,
)


def progress(keys: list[str]) -> int:
    """How far a walk has come, 0 to 99, from the kept steps: it only grows."""
    reached = 0
    for key in keys:
        name = key.split("/")[-1]
        if "/once/" in key or key.startswith("once/"):
            reached = max(reached, 80)
        reached = max(reached, _PROGRESS.get(name, 0))
    return min(reached, 99)


def _status(made: tuple[Attempt, ...], dry_run: bool, error: str | None) -> Status:
    if error is not None or not made:
        return "error"
    last = made[-1]
    if last.diagnosis is not None and not last.diagnosis.failure:
        return "no_failure" if len(made) == 1 else "unresolved"
    if last.verification is not None and last.verification.over:
        return "resolved"
    if dry_run:
        return "planned" if last.plan is not None and last.plan.actions else "needs_person"
    if last.request is not None and last.approval is None:
        return "needs_approval"
    if any(attempt.outcomes for attempt in made):
        return "unresolved"
    return "needs_person"


def _summary(made: tuple[Attempt, ...], status: Status, error: str | None) -> str:
    if error is not None:
        return error
    last = made[-1] if made else Attempt()
    diagnosis = last.diagnosis
    if diagnosis is None:
        return "Not looked at yet."
    if status == "no_failure":
        return "The log shows no failure."
    named = diagnosis.summary or "The cause is not known; the lines that matter are in the excerpt."
    return f"{named} {_ending(last, status)}".strip()


def _ending(last: Attempt, status: Status) -> str:
    """What became of it, in a sentence or two."""
    diagnosis, plan, verification = last.diagnosis, last.plan, last.verification
    if status == "resolved" and verification is not None:
        acted = any(outcome.status == "succeeded" for outcome in last.outcomes)
        return ("Repaired and proven" if acted else "It is over without a repair") + f": {verification.reason}."
    if status == "planned" and plan is not None:
        return f"Planned, not executed (dry run): {_tools(last)}."
    if status == "needs_approval" and last.request is not None:
        return f"Waits for approval until {last.request.expires:%Y-%m-%d %H:%M} UTC: {_tools(last)}."
    if status == "unresolved" and verification is not None:
        return f"Not resolved, {verification.reason}.{_undone(last)}{_stopped(last)}"
    reasons = []
    if last.approval is not None and not last.approval.granted:
        reasons.append(f"The plan was not approved ({last.approval.by}: {last.approval.reason or 'no reason given'}).")
    if last.brake is not None and last.brake.verdict == "deny":
        reasons.append(f"Not executed: {last.brake.reason}.")
    if plan is not None and plan.refused:
        reasons.append(f"{plan.refused[0].tool} was refused: {plan.refused[0].reason}.")
    if plan is not None and plan.question:
        reasons.append(plan.question)
    if diagnosis is not None and diagnosis.advice:
        reasons.append(f"Next: {_ended(diagnosis.advice[0])}")
    if diagnosis is not None and diagnosis.cause == UNKNOWN and not reasons:
        reasons.append("Not enough information to proceed.")
    return " ".join(reasons)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!", ".)", "?)")) else f"{sentence}."


def _undone(last: Attempt) -> str:
    return " What did not help was undone." if any(one.status == "succeeded" for one in last.undone) else ""


def _stopped(last: Attempt) -> str:
    """What was left as it was because a person stopped everything."""
    halted = [one for one in (*last.outcomes, *last.undone) if one.output.startswith(STOPPED)]
    if not halted:
        return ""
    named = {action.id: action.tool for action in last.plan.actions} if last.plan else {}
    skipped = ", ".join(named.get(one.action_id, one.action_id) for one in last.outcomes if one in halted)
    kept = ", ".join(named.get(one.action_id, one.action_id) for one in last.undone if one in halted)
    told = f" not done: {skipped};" * bool(skipped) + f" not taken back: {kept};" * bool(kept)
    return f" {halted[0].output.capitalize()};{told[:-1]}."


def _closed(reason: str, made: tuple[Attempt, ...]) -> str:
    """What is said of an incident that was over before anything was done about it."""
    last = made[-1] if made else Attempt()
    found = last.diagnosis.summary if last.diagnosis is not None and last.diagnosis.failure else ""
    withdrawn = " The plan that waited was withdrawn." if last.request is not None else ""
    return f"{found} It is over without a repair: {reason}.{withdrawn}".strip()


def _tools(last: Attempt) -> str:
    return ", ".join(action.tool for action in last.plan.actions) if last.plan else ""


def to_json(made: Report) -> dict[str, Any]:
    """The report as plain JSON values."""
    return made.model_dump(mode="json")
