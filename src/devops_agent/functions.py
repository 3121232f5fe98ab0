"""The two Python functions that other programs import: plan for errors, act on a plan. Both go through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devops_agent.bootstrap import build_agent, build_worker, make_incident, open_jobs
from devops_agent.config import load_settings
from devops_agent.errors import RequestError
from devops_agent.model import Report
from devops_agent.web.contract import approval_wanted, final_response, planned_actions, tool_results


def generate_planned_actions_from_errors(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """One plan for each error, which is `{"context": "..."}` or a string. Looks at the place, changes nothing.

    A plan has `planned_actions`, the `diagnosis`, `final_response`, and what is needed to go on: `status`, and
    `error_context`, which `handle_llm_plan_with_tools` starts from. Raises RequestError that names the field.
    """
    contexts = [
        _context(error.get("context") if isinstance(error, dict) else error, f"errors[{number}].context")
        for number, error in enumerate(errors)
    ]
    return [_plan(context, _work(context, {"dry_run": True})) for context in contexts]


def handle_llm_plan_with_tools(plan: dict[str, Any]) -> dict[str, Any]:
    """Go on with a plan of `generate_planned_actions_from_errors`: act under the policy in force, prove, report.

    The place is looked at anew, since time may have passed; what policy asks about waits for a person's approval.
    """
    made = _work(_context(plan.get("error_context"), "plan.error_context"), {})
    results = tool_results(made)
    return {
        "final_response": final_response(made.job or "", made),
        "tools_used": list(dict.fromkeys(each["name"] for each in results)),
        "iterations": sum(each.diagnosis.turns for each in made.attempts if each.diagnosis),
        "tool_calls": planned_actions(made),
        "tool_results": results,
        "status": made.status,
        "approval": approval_wanted(made.job or "", made),
    }


def _plan(context: str, made: Report) -> dict[str, Any]:
    diagnosis = made.attempts[-1].diagnosis if made.attempts else None
    return {
        "error_context": context,
        "status": made.status,
        "planned_actions": planned_actions(made),
        "diagnosis": diagnosis.model_dump(mode="json") if diagnosis else None,
        "final_response": final_response(made.job or "", made),
    }


def _context(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RequestError(f"{field}: must be a string that is not empty")
    return value


def _work(context: str, options: dict[str, Any]) -> Report:
    settings = load_settings()
    jobs = open_jobs(settings)
    batch = jobs.submit([make_incident(context, settings, source="python")], requester="python", options=options)
    build_worker(settings, jobs, build_agent(settings)).work_until_answered(batch.jobs[0])
    return jobs.report(batch.jobs[0])
