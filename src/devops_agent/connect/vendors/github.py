"""GitHub: `workflow_run`, `check_run` and `check_suite`, when they are completed.

All three speak of one thing, the check suite, whose id is the key: whichever comes first opens the incident and the
others join it. Only a whole run or suite that succeeds closes it; a run also closes what failed before on its branch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import Fetch, Heard, Signal
from devops_agent.connect.vendors import reading
from devops_agent.errors import RequestError

FAILING = frozenset({"failure", "timed_out", "startup_failure"})
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}/[A-Za-z0-9._-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{7,64}")
_EVENTS = ("workflow_run", "check_run", "check_suite")


def hear(hook: Hook, headers: Mapping[str, str], body: Any) -> Heard:  # noqa: ARG001 (all parsers are called alike)
    """The signal of a completed run, job, check or suite."""
    said = reading.table(body, "body")
    event = headers.get("x-github-event", "")
    if event not in _EVENTS:
        return Heard(event[:80] or "unknown", ignored="this event is not about a check")
    action = reading.text(said.get("action"))
    name = f"{event}.{action}"
    if action != "completed":
        return Heard(name, ignored="it is not completed")
    one = reading.table(said.get(event), event)
    repository = reading.text(reading.inner(said, "repository").get("full_name"))
    if not REPOSITORY.fullmatch(repository) or ".." in repository:
        raise RequestError("repository.full_name: missing, or not owner/name")
    conclusion = reading.text(one.get("conclusion"))
    if conclusion in FAILING:
        return Heard(name, (_firing(event, one, repository),))
    if conclusion == "success" and event in ("workflow_run", "check_suite"):
        return Heard(name, (_resolved(event, one, repository),))
    return Heard(name, ignored=f"a conclusion of {conclusion or 'nothing'} opens and closes nothing")


def _firing(event: str, one: dict[str, Any], repository: str) -> Signal:
    called = reading.text(one.get("name")) or reading.text(reading.inner(one, "app").get("name")) or "checks"
    branch = reading.text(one.get("head_branch") or reading.inner(one, "check_suite").get("head_branch"))
    output = reading.inner(one, "output")
    words = [reading.text(output.get(field), 20_000) for field in ("title", "summary", "text")]
    lines = [f"ERROR {called} of {repository} ended with {reading.text(one.get('conclusion'))}", *filter(None, words)]
    return Signal(
        state="firing",
        key=_key(event, one, repository),
        at=_at(one),
        series=_series(event, one, repository),
        title=f"{repository}: {called} failed" + (f" on {branch}" if branch else ""),
        text="\n".join(lines),
        labels=_labels(event, one, repository, branch),
        fetch=_fetch(event, one, repository),
    )


def _resolved(event: str, one: dict[str, Any], repository: str) -> Signal:
    return Signal(
        state="resolved",
        key=_key(event, one, repository),
        at=_at(one),
        series=_series(event, one, repository),
        title=f"{repository}: {reading.text(one.get('name')) or 'checks'} succeeded",
    )


def _key(event: str, one: dict[str, Any], repository: str) -> str:
    suite: Any = {
        "workflow_run": one.get("check_suite_id"),
        "check_suite": one.get("id"),
        "check_run": reading.inner(one, "check_suite").get("id"),
    }.get(event)
    return f"{repository}/suite/{reading.number(suite, f'{event}.check_suite_id')}"


def _series(event: str, one: dict[str, Any], repository: str) -> str | None:
    if event != "workflow_run":
        return None
    return f"{repository}/{reading.text(one.get('workflow_id'))}/{reading.text(one.get('head_branch'))}"


def _at(one: dict[str, Any]) -> float:
    return reading.moment(one.get("updated_at"), one.get("completed_at"), one.get("created_at"))


def _labels(event: str, one: dict[str, Any], repository: str, branch: str) -> dict[str, str]:
    pulls = one.get("pull_requests")
    first = pulls[0] if isinstance(pulls, list) and pulls and isinstance(pulls[0], dict) else {}
    sha = reading.text(one.get("head_sha"))
    found = {
        "github.repository": repository,
        "github.branch": branch,
        "github.sha": sha if _SHA.fullmatch(sha) else "",
        "github.pull_request": str(first["number"]) if type(first.get("number")) is int else "",
        "github.workflow": reading.text(one.get("workflow_name") or one.get("name"), 100),
        "github.url": reading.text(one.get("html_url"), 500),
        "github.event": event,
    }
    return {name: value for name, value in found.items() if value}


def _fetch(event: str, one: dict[str, Any], repository: str) -> Fetch:
    ids = {"repository": repository, "id": reading.number(one.get("id"), f"{event}.id")}
    if event == "workflow_run":
        attempt = one.get("run_attempt")
        return Fetch(way="github_run", ids={**ids, "attempt": attempt if type(attempt) is int else 1})
    if event == "check_suite":
        return Fetch(way="github_suite", ids=ids)
    own = reading.inner(one, "app").get("slug") == "github-actions"
    return Fetch(way="github_job" if own else "github_check", ids=ids)
