"""GitLab: pipeline and job events (of project, group and system hooks). The key is the pipeline's id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import Fetch, Heard, Signal
from devops_agent.connect.vendors import reading

MOST_JOBS = 200


def hear(hook: Hook, headers: Mapping[str, str], body: Any) -> Heard:  # noqa: ARG001 (all parsers are called alike)
    """The signal of a pipeline that ended, or of a job that failed and may not."""
    said = reading.table(body, "body")
    kind = reading.text(said.get("object_kind"))
    if kind == "pipeline":
        return _pipeline(said)
    if kind == "build":
        return _job(said)
    return Heard(kind or "unknown", ignored="this event is not about a pipeline")


def _pipeline(said: dict[str, Any]) -> Heard:
    about = reading.table(said.get("object_attributes"), "object_attributes")
    status = reading.text(about.get("status"))
    event = f"pipeline.{status}"
    if status not in ("failed", "success"):
        return Heard(event, ignored="the pipeline has not ended, or was left out")
    project = reading.table(said.get("project"), "project")
    number = reading.number(project.get("id"), "project.id")
    pipeline = reading.number(about.get("id"), "object_attributes.id")
    path = reading.text(project.get("path_with_namespace")) or f"project {number}"
    ref = reading.text(about.get("ref"))
    at = reading.moment(about.get("finished_at"), about.get("created_at"))
    series = f"{number}/{ref}"
    if status == "success":
        return Heard(event, (Signal(state="resolved", key=f"{number}/{pipeline}", at=at, series=series),))
    jobs = said.get("builds")
    listed = [each for each in jobs[:MOST_JOBS] if isinstance(each, dict)] if isinstance(jobs, list) else []
    failed = [each for each in listed if each.get("status") == "failed" and each.get("allow_failure") is not True]
    names = ", ".join(filter(None, (reading.text(each.get("name"), 100) for each in failed[:5])))
    reasons = {reading.text(each.get("failure_reason"), 100) for each in failed} - {""}
    signal = Signal(
        state="firing",
        key=f"{number}/{pipeline}",
        at=at,
        series=series,
        title=f"{path}: pipeline failed on {ref}" + (f" ({names})" if names else ""),
        text="\n".join(
            [f"ERROR pipeline {pipeline} of {path} failed: {names}", *(f"reason: {each}" for each in sorted(reasons))]
        ),
        labels=_labels(said, about, number, path, ref, pipeline),
        fetch=Fetch(way="gitlab_jobs", ids={"project": number, "pipeline": pipeline, "jobs": _ids(failed)}),
    )
    return Heard(event, (signal,))


def _job(said: dict[str, Any]) -> Heard:
    status = reading.text(said.get("build_status"))
    event = f"build.{status}"
    if status != "failed" or said.get("build_allow_failure") is True:
        return Heard(event, ignored="the job has not failed, or may fail")
    number = reading.number(said.get("project_id"), "project_id")
    pipeline = reading.number(said.get("pipeline_id"), "pipeline_id")
    job = reading.number(said.get("build_id"), "build_id")
    path = reading.text(reading.inner(said, "project").get("path_with_namespace")) or reading.text(
        said.get("project_name")
    )
    ref = reading.text(said.get("ref"))
    name = reading.text(said.get("build_name"), 100)
    signal = Signal(
        state="firing",
        key=f"{number}/{pipeline}",
        at=reading.moment(said.get("build_finished_at"), said.get("build_created_at")),
        series=f"{number}/{ref}",
        title=f"{path}: job {name} failed on {ref}",
        text=f"ERROR job {name} of {path} failed: {reading.text(said.get('build_failure_reason'), 200)}",
        labels=_labels(said, {"sha": said.get("sha")}, number, path, ref, pipeline),
        fetch=Fetch(way="gitlab_jobs", ids={"project": number, "pipeline": pipeline, "jobs": [job]}),
    )
    return Heard(event, (signal,))


def _ids(jobs: list[dict[str, Any]]) -> list[int]:
    return [each["id"] for each in jobs if type(each.get("id")) is int and each["id"] > 0][:10]


def _labels(
    said: dict[str, Any], about: dict[str, Any], number: int, path: str, ref: str, pipeline: int
) -> dict[str, str]:
    merge = reading.inner(said, "merge_request").get("iid")
    found = {
        "gitlab.project": str(number),
        "gitlab.path": path,
        "gitlab.ref": ref,
        "gitlab.sha": reading.text(about.get("sha"), 64),
        "gitlab.pipeline": str(pipeline),
        "gitlab.merge_request": str(merge) if type(merge) is int else "",
        "gitlab.url": reading.text(about.get("url"), 500),
    }
    return {name: value for name, value in found.items() if value}
