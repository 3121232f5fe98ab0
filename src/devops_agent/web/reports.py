"""A job's report as Markdown: what pipelines put into their job summary and into a comment on the change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response

from devops_agent.web.api import backend

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("reports", __name__)


@blueprint.get("/jobs/<job_id>/report.md")
def as_markdown(job_id: str) -> ResponseReturnValue:
    """The report as far as it is; 202 while nothing can be answered yet. `Devops-Agent-Outcome` says how it stands."""
    from devops_agent import render

    jobs = backend().jobs
    row = jobs.job(job_id)
    made = jobs.report(job_id)
    answer = Response(render.to_markdown(made), 200 if row.answered else 202, mimetype="text/markdown")
    answer.headers["Devops-Agent-Outcome"] = made.status if row.answered else "working"
    if not row.answered:
        answer.headers["Retry-After"] = "1"
    return answer
