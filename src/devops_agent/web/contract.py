"""A report in the form that the clients of the old service read: one row of `results` for each scenario.

`final_response` is what an engineer acts on: the cause in a sentence, the lines of the log that it rests on, what was
looked at, what is planned, done and proven, and what a person should do next.
"""

from __future__ import annotations

from typing import Any

from devops_agent.model import UNKNOWN, Action, Attempt, Diagnosis, Evidence, Plan, Report
from devops_agent.report import striking
from devops_agent.web import words

NOT_ENOUGH = "Not enough information to proceed"
CONTEXT_LIMIT = 20_000
LINES = 8
_TOOL_STATUS = {"succeeded": "success", "already": "success", "failed": "error", "unknown": "error"}


def row(number: int, job_id: str, report: Report) -> dict[str, Any]:
    """One of `results`."""
    results = tool_results(report)
    last = report.attempts[-1] if report.attempts else Attempt()
    failed = report.status == "error"
    made: dict[str, Any] = {
        "scenario_id": number,
        "status": "error" if failed else "success",
        "error_context": context(report),
        "final_response": final_response(job_id, report),
        "tools_used": list(dict.fromkeys(each["name"] for each in results)),
        "iterations": sum(each.diagnosis.turns for each in report.attempts if each.diagnosis),
        "planned_actions": planned_actions(report),
        "tool_results": results,
        "job_id": job_id,
        "outcome": report.status,
        "summary": report.summary,
        "diagnosis": _diagnosis(report, last.diagnosis),
        "refused_actions": [
            {"tool": each.tool, "params": each.args, "reason": each.reason}
            for each in (last.plan.refused if last.plan else ())
        ],
    }
    if report.usage.requests:
        made["usage"] = report.usage.model_dump(mode="json")
    if failed:
        made["error_message"] = report.error or report.summary or "the agent could not work on this scenario"
    if waiting := approval_wanted(job_id, report):
        made["approval"] = waiting
    return made


def lost(number: int, job_id: str, message: str) -> dict[str, Any]:
    """The row of a scenario about which nothing could be read."""
    return {
        "scenario_id": number,
        "status": "error",
        "error_context": "",
        "final_response": "",
        "tools_used": [],
        "iterations": 0,
        "planned_actions": [],
        "tool_results": [],
        "job_id": job_id,
        "outcome": "error",
        "error_message": message,
    }


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over all rows, and the rows."""
    good = sum(each["status"] == "success" for each in rows)
    return {
        "total_scenarios": len(rows),
        "successful_scenarios": good,
        "failed_scenarios": len(rows) - good,
        "total_tools_executed": sum(len(each["tool_results"]) for each in rows),
        "results": rows,
    }


def context(report: Report) -> str:
    """The reported text, secrets masked; of a long one its beginning and end."""
    text = report.incident.log
    if not text and report.digest:
        text = "\n".join(each.text for each in report.digest.evidence)
    if len(text) <= CONTEXT_LIMIT:
        return text
    half = CONTEXT_LIMIT // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def planned_actions(report: Report) -> list[dict[str, Any]]:
    """What was looked at and what would be, or was, done, in order."""
    rows: list[dict[str, Any]] = []
    for number, attempt in enumerate(report.attempts, 1):
        for each in attempt.diagnosis.planned if attempt.diagnosis else ():
            rows.append({"tool": each.tool, "params": each.args, "when": each.when, "why": each.why})
        for action in attempt.plan.actions if attempt.plan else ():
            same = [old for old in rows if old["tool"] == action.tool and "action_id" not in old]
            for old in same:
                rows.remove(old)
            rows.append(_planned(number, action))
    last = report.attempts[-1].diagnosis if report.attempts else None
    if not rows and last is not None and last.failure and last.cause != UNKNOWN:
        rows.append({"tool": "read_log", "params": {}, "when": "always", "why": "to see what led to it"})
    return rows


def tool_results(report: Report) -> list[dict[str, Any]]:
    """One row per tool call: probes first, as they were made, then actions that were started."""
    rows: list[dict[str, Any]] = []
    for number, attempt in enumerate(report.attempts, 1):
        for each in attempt.diagnosis.looked if attempt.diagnosis else ():
            name, called = words.probe(each)
            status = "success" if each.data is not None else "error"
            rows.append(
                {"name": name, "content": words.looked(each, 2000), "status": status, "call": called, "attempt": number}
            )
        actions = {action.id: action for action in attempt.plan.actions} if attempt.plan else {}
        for outcome in (*attempt.outcomes, *attempt.undone):
            if outcome.status == "skipped" or outcome.action_id not in actions:
                continue
            action = actions[outcome.action_id]
            rows.append(
                {
                    "name": action.tool,
                    "content": outcome.output or words.OUTCOMES[outcome.status],
                    "status": _TOOL_STATUS[outcome.status],
                    "call": words.action(action),
                    "outcome": outcome.status,
                    "attempt": number,
                }
            )
    return rows


def approval_wanted(job_id: str, report: Report) -> dict[str, Any] | None:
    """What waits for a person, until when, and how to decide; None where nothing does."""
    last = report.attempts[-1] if report.attempts else None
    if report.status != "needs_approval" or last is None or last.request is None or last.plan is None:
        return None
    return {
        "job_id": job_id,
        "fingerprint": last.request.fingerprint,
        "until": last.request.expires.isoformat(),
        "actions": [words.action(each) for each in last.plan.actions],
        "approve": f"POST /jobs/{job_id}/approve",
        "deny": f"POST /jobs/{job_id}/deny",
        "command": f"devops-agent approve {job_id}",
        "page": f"/dashboard/jobs/{job_id}",
    }


def final_response(job_id: str, report: Report) -> str:
    """The whole answer as plain text."""
    attempt = report.attempts[-1] if report.attempts else Attempt()
    said = attempt.diagnosis
    notes = "\n".join(f"Note: {remark}" for remark in said.remarks) if said else ""
    parts = [_headline(report, said), notes, _evidence(report, said), _looked(said)]
    for number, each in enumerate(report.attempts, 1):
        of = f" (attempt {number})" if len(report.attempts) > 1 else ""
        parts += [_plan(each, of), _done(each, of), _proof(each, of)]
    parts.append(_next(job_id, report, attempt))
    return "\n\n".join(part for part in parts if part)


def cited(report: Report, diagnosis: Diagnosis | None) -> list[Evidence]:
    """The lines of the log that the diagnosis rests on; without any, those of the excerpt that stand out."""
    if report.digest is None:
        return []
    wanted = set(diagnosis.evidence) if diagnosis else set()
    lines = [each for each in report.digest.evidence if each.id in wanted]
    if not lines and diagnosis and diagnosis.cause != UNKNOWN:
        hit = {line for each in report.digest.hits if each.signature == diagnosis.runbook for line in each.lines}
        lines = [each for each in report.digest.evidence if each.line in hit]
    return lines[:LINES] or striking(report, LINES)


def _headline(report: Report, diagnosis: Diagnosis | None) -> str:
    if report.status == "error":
        return f"The agent could not work on this: {report.error or report.summary}"
    if diagnosis is None:
        return f"{NOT_ENOUGH}: nothing was diagnosed."
    if not diagnosis.failure:
        read = report.digest.lines_read if report.digest else 0
        lines = "1 line" if read == 1 else f"{read} lines"
        return (
            f"No failure is visible in this text ({lines} read); nothing was done. {NOT_ENOUGH} if something did fail."
        )
    if diagnosis.cause == UNKNOWN:
        said = words.sentence(diagnosis.summary or "the cause cannot be told from what the log says")
        return f"{said if said.startswith(NOT_ENOUGH) else f'{NOT_ENOUGH}: {said}'} Nothing was done."
    summary = words.sentence(diagnosis.summary or diagnosis.cause.replace("_", " "))
    line = f"{summary}\nCause: {diagnosis.cause} ({words.percent(diagnosis.confidence)} sure)"
    if diagnosis.alternatives:
        others = (f"{each.cause} ({words.percent(each.confidence)})" for each in diagnosis.alternatives[:3])
        line += f"; also possible: {', '.join(others)}"
    return line


def _evidence(report: Report, diagnosis: Diagnosis | None) -> str:
    lines = cited(report, diagnosis)
    if not lines or (diagnosis is not None and not diagnosis.failure):
        return ""
    known = diagnosis is not None and diagnosis.cause != UNKNOWN
    title = "Evidence:" if known else "The lines that stand out:"
    return "\n".join([title, *(f"  line {each.line}: {words.shortened(each.text, 400)}" for each in lines)])


def _looked(diagnosis: Diagnosis | None) -> str:
    if diagnosis is None or not diagnosis.looked:
        return ""
    seen = (f"  {words.probe(each)[1]}: {words.looked(each)}" for each in diagnosis.looked)
    return "\n".join(["Looked at:", *seen])


def _plan(attempt: Attempt, of: str) -> str:
    plan = attempt.plan
    if plan is None or not (plan.actions or plan.refused or plan.question):
        return ""
    waits = attempt.request is not None and attempt.approval is None
    lines = [f"Plan{of}, waits for approval:" if waits else f"Plan{of}:"]
    for number, each in enumerate(plan.actions, 1):
        why = f" — {each.why}" if each.why else ""
        lines.append(f"  {number}. {words.action(each)}{why} [{words.EFFECTS[each.effect]}]")
        lines += [f"     {words.command(one)}" for one in each.commands]
    lines += [f"  refused: {words.call(each.tool, each.args)}: {each.reason}" for each in plan.refused]
    lines += [f"  question: {plan.question}"] if plan.question else []
    return "\n".join(lines)


def _done(attempt: Attempt, of: str) -> str:
    if attempt.approval is not None and not attempt.approval.granted:
        reason = attempt.approval.reason or "no reason given"
        return f"Not approved{of} ({attempt.approval.by}): {reason}. Nothing was done."
    if not attempt.outcomes:
        return ""
    names = {each.id: words.action(each) for each in attempt.plan.actions} if attempt.plan else {}
    lines = [f"Done{of}:"]
    for each in attempt.outcomes:
        said = f": {words.shortened(each.output, 300)}" if each.output else ""
        lines.append(f"  {names.get(each.action_id, each.action_id)}: {words.OUTCOMES[each.status]}{said}")
    lines += [
        f"  undone: {names.get(each.action_id, each.action_id)}" for each in attempt.undone if each.status != "skipped"
    ]
    return "\n".join(lines)


def _proof(attempt: Attempt, of: str) -> str:
    proof = attempt.verification
    if proof is None or not attempt.outcomes:
        return ""
    gone = {True: "yes", False: "no", None: "cannot be told"}[proof.cause_gone]
    lines = [f"Proof{of}: cause gone: {gone}; incident over: {'yes' if proof.over else 'no'}"]
    for each in (*proof.checks, *proof.after):
        state = {True: "passes", False: "fails", None: "could not be run"}[each.passed]
        lines.append(f"  {each.name}: {state}{f' ({words.shortened(each.detail, 200)})' if each.detail else ''}")
    if proof.newly_broken:
        lines.append(f"  newly broken: {', '.join(proof.newly_broken)}")
    return "\n".join(lines)


def _next(job_id: str, report: Report, attempt: Attempt) -> str:
    if report.status in ("resolved", "no_failure", "error"):
        return ""
    steps: list[str] = []
    if waiting := approval_wanted(job_id, report):
        steps.append(
            f"Approve with `{waiting['approve']}` or `{waiting['command']}` (or deny), until {waiting['until']}; "
            "nothing is done before."
        )
    if report.status == "planned":
        steps.append("Carry the plan out: so far nothing was done (dry run).")
    diagnosis = attempt.diagnosis
    if diagnosis is not None:
        steps += [words.sentence(each) for each in diagnosis.advice]
    if diagnosis is None or (diagnosis.cause == UNKNOWN and not diagnosis.advice):
        steps.append("Send more of the log: the output of the failing step from its first error to its exit status.")
    elif not steps:
        steps.append(f"Have a person look: {words.sentence(report.summary or diagnosis.summary)}")
    if len(steps) == 1:
        return f"Next: {steps[0]}"
    return "\n".join(["Next:", *(f"  {number}. {each}" for number, each in enumerate(steps, 1))])


def _planned(number: int, action: Action) -> dict[str, Any]:
    return {
        "tool": action.tool,
        "params": action.args,
        "when": action.when,
        "why": action.why,
        "effect": action.effect,
        "action_id": action.id,
        "commands": [words.command(each) for each in action.commands],
        "attempt": number,
    }


def _diagnosis(report: Report, diagnosis: Diagnosis | None) -> dict[str, Any] | None:
    if diagnosis is None:
        return None
    return {
        "cause": diagnosis.cause,
        "failure": diagnosis.failure,
        "confidence": round(diagnosis.confidence, 3),
        "summary": diagnosis.summary,
        "facts": diagnosis.facts,
        "runbook": diagnosis.runbook,
        "evidence": [{"line": each.line, "text": each.text} for each in cited(report, diagnosis)],
        "alternatives": [{"cause": each.cause, "confidence": each.confidence} for each in diagnosis.alternatives],
        "advice": list(diagnosis.advice),
        "references": list(diagnosis.references),
    }


def exact_plan(report: Report) -> Plan | None:
    """The newest plan of a report."""
    plans = [each.plan for each in report.attempts if each.plan is not None]
    return plans[-1] if plans else None
