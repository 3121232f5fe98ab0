"""The audit trail: who did what, when; whether it is as it was written; as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from flask import Response, request, stream_with_context

from devops_agent.jobs import audit as trail
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.pages.frame import blueprint, number, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy import Engine

PER_PAGE = 50
PIECE = 1000


@blueprint.get("/audit")
def audit() -> ResponseReturnValue:
    """Entries, newest first, of one job or of all."""
    engine = backend().jobs.engine
    job = request.args.get("job", "")[:100]
    before = number("before", 0, 0)
    entries = trail.entries(engine, job or None, PER_PAGE + 1, newest=True, before=before or None)
    entries.reverse()
    return render(
        "audit.html",
        entries=_seen(entries[:PER_PAGE]),
        job=job,
        more=entries[PER_PAGE - 1].id if len(entries) > PER_PAGE else None,
        first=not before,
    )


@blueprint.get("/audit/verified")
def verified() -> ResponseReturnValue:
    """Whether the chain of the whole trail is as it was written."""
    problems = []
    for each in trail.broken(backend().jobs.engine):
        problems.append(each)
        if len(problems) >= 20:
            break
    newest = trail.entries(backend().jobs.engine, None, 1, newest=True)
    return render("verified.html", problems=problems, newest=newest[0] if newest else None)


@blueprint.get("/audit.jsonl")
def export_audit() -> ResponseReturnValue:
    """The whole trail as it is kept, a line for each entry, streamed."""
    job = request.args.get("job", "")[:100] or None
    lines = stream_with_context(_lines(backend().jobs.engine, job))
    response = Response(lines, mimetype="application/x-ndjson")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    return response


def _seen(entries: list[trail.Entry]) -> list[trail.Entry]:
    """Those entries that the caller may see: a key for some places sees what is about their jobs."""
    mine = auth.caller().places
    if mine is None:
        return entries
    places = {job: backend().places_of(job) for job in {each.job for each in entries}}
    return [each for each in entries if places[each.job] and places[each.job] <= mine]


def _lines(engine: Engine, job: str | None) -> Iterator[str]:
    after = 0
    while found := trail.entries(engine, job, PIECE, after):
        yield "".join(json.dumps({**asdict(each), "at": each.at.isoformat()}) + "\n" for each in _seen(found))
        after = found[-1].id
