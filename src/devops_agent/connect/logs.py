"""The log that belongs to a signal, fetched from the vendor's API: of the jobs that failed, not of the whole run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from devops_agent.connect.fetch import Door, NotFetched
from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import Fetch, Signal
from devops_agent.connect.vendors import github, reading

MOST_JOBS = 3
"""Failed jobs of one run whose logs are read; what else failed is named."""


class Found(NamedTuple):
    """What was fetched: the text, and labels that only the API knows."""

    text: str
    labels: dict[str, str] = {}


def fetch(hook: Hook, signal: Signal) -> Found:
    """The log of this signal. Raises NotFetched."""
    assert signal.fetch is not None  # noqa: S101  (asked only where there is one)
    if hook.token is None and hook.kind != "jenkins":
        raise NotFetched("no token is configured for this hook")
    return WAYS[signal.fetch.way](Door(hook), hook, signal, signal.fetch)


def _github_run(door: Door, hook: Hook, signal: Signal, what: Fetch) -> Found:
    run = f"repos/{what.ids['repository']}/actions/runs/{int(what.ids['id'])}"
    answer = door.json(f"{run}/attempts/{int(what.ids['attempt'])}/jobs?per_page=100")
    jobs = [each for each in _rows(answer, "jobs") if each.get("conclusion") in github.FAILING]
    if not jobs:
        raise NotFetched("the run names no job that failed", again=True)
    named = [(reading.text(each.get("name")), _job_log(what, each.get("id"))) for each in jobs]
    return Found(_joined(door, hook, named), _pull(door, signal, what))


def _github_job(door: Door, hook: Hook, signal: Signal, what: Fetch) -> Found:
    return Found(_joined(door, hook, [("", _job_log(what, what.ids["id"]))]), _pull(door, signal, what))


def _github_suite(door: Door, hook: Hook, signal: Signal, what: Fetch) -> Found:
    suite = f"repos/{what.ids['repository']}/check-suites/{int(what.ids['id'])}"
    answer = door.json(f"{suite}/check-runs?per_page=100&status=completed")
    failed = [each for each in _rows(answer, "check_runs") if each.get("conclusion") in github.FAILING]
    if not failed:
        raise NotFetched("the suite names no check that failed", again=True)
    own = [each for each in failed if reading.inner(each, "app").get("slug") == "github-actions"]
    if own:
        named = [(reading.text(each.get("name")), _job_log(what, each.get("id"))) for each in own]
        return Found(_joined(door, hook, named), _pull(door, signal, what))
    texts = [_check_text(door, what, each) for each in failed[:MOST_JOBS]]
    return Found("\n".join(texts), _pull(door, signal, what))


def _github_check(door: Door, hook: Hook, signal: Signal, what: Fetch) -> Found:  # noqa: ARG001 (all are called alike)
    notes = _annotations(door, what, what.ids["id"])
    return Found("\n".join([signal.text, *notes]), _pull(door, signal, what))


def _gitlab_jobs(door: Door, hook: Hook, signal: Signal, what: Fetch) -> Found:  # noqa: ARG001 (all are called alike)
    project = f"api/v4/projects/{int(what.ids['project'])}"
    numbers = [int(each) for each in what.ids["jobs"]]
    if not numbers:
        answer = door.json(f"{project}/pipelines/{int(what.ids['pipeline'])}/jobs?scope[]=failed&per_page=50")
        rows = [each for each in _rows(answer, None) if each.get("allow_failure") is not True]
        numbers = [each["id"] for each in rows if type(each.get("id")) is int]
    if not numbers:
        raise NotFetched("the pipeline names no job that failed", again=True)
    return Found(_joined(door, hook, [(f"job {each}", f"{project}/jobs/{each}/trace") for each in numbers]))


def _jenkins_console(door: Door, hook: Hook, signal: Signal, what: Fetch) -> Found:  # noqa: ARG001 (all alike)
    return Found(_joined(door, hook, [("", f"{what.ids['path']}consoleText")]))


WAYS: dict[str, Callable[[Door, Hook, Signal, Fetch], Found]] = {
    "github_run": _github_run,
    "github_job": _github_job,
    "github_suite": _github_suite,
    "github_check": _github_check,
    "gitlab_jobs": _gitlab_jobs,
    "jenkins_console": _jenkins_console,
}


def _job_log(what: Fetch, number: Any) -> str:
    return f"repos/{what.ids['repository']}/actions/jobs/{reading.number(number, 'job.id')}/logs"


def _joined(door: Door, hook: Hook, named: list[tuple[str, str]]) -> str:
    """The logs one after the other, each under its job's name where there are several."""
    from devops_agent.distil.source import whole

    parts = []
    for name, path in named[:MOST_JOBS]:
        raw, left_out = door.text(path, hook.log_bytes // min(len(named), MOST_JOBS))
        if left_out:
            parts.append(f"[{left_out} bytes before this were left out]")
        elif len(named) > 1:
            parts.append(f"===== {name} =====")
        parts.append(whole(raw, 4 * hook.log_bytes))
    if len(named) > MOST_JOBS:
        parts.append(f"[failed too: {', '.join(name for name, _ in named[MOST_JOBS:20])}]")
    return "\n".join(parts)


def _check_text(door: Door, what: Fetch, check: dict[str, Any]) -> str:
    output = reading.inner(check, "output")
    words = [reading.text(output.get(each), 20_000) for each in ("title", "summary", "text")]
    notes = _annotations(door, what, check.get("id")) if output.get("annotations_count") else []
    head = f"ERROR {reading.text(check.get('name'))} ended with {reading.text(check.get('conclusion'))}"
    return "\n".join([head, *filter(None, words), *notes])


def _annotations(door: Door, what: Fetch, number: Any) -> list[str]:
    path = f"repos/{what.ids['repository']}/check-runs/{reading.number(number, 'check_run.id')}/annotations"
    return [
        f"{reading.text(each.get('path'))}:{reading.text(each.get('start_line'))}: "
        f"{reading.text(each.get('annotation_level'))}: {reading.text(each.get('message'), 4000)}"
        for each in _rows(door.json(f"{path}?per_page=50"), None)
    ]


def _pull(door: Door, signal: Signal, what: Fetch) -> dict[str, str]:
    """The pull request of a commit: the hook names none where the branch lies in a fork."""
    sha = signal.labels.get("github.sha")
    if not sha or "github.pull_request" in signal.labels:
        return {}
    try:
        rows = _rows(door.json(f"repos/{what.ids['repository']}/commits/{quote(sha)}/pulls?per_page=5"), None)
    except NotFetched:
        return {}
    numbers = [each["number"] for each in rows if each.get("state") == "open" and type(each.get("number")) is int]
    return {"github.pull_request": str(numbers[0])} if numbers else {}


def _rows(answer: Any, name: str | None) -> list[dict[str, Any]]:
    rows = answer.get(name) if name and isinstance(answer, dict) else answer
    if not isinstance(rows, list):
        raise NotFetched("the API's answer is not what it documents")
    return [each for each in rows if isinstance(each, dict)]
