"""What happens, as it happens: server-sent events of one job or of all, which resume after the last number seen.

`Accept: text/event-stream` asks for the stream; anything else gets the events so far as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from devops_agent.errors import RequestError
from devops_agent.jobs import feed
from devops_agent.jobs.feed import Event
from devops_agent.web.api import backend
from devops_agent.web.backend import Backend
from devops_agent.web.problems import Busy

blueprint = Blueprint("live", __name__, url_prefix="/api/v1")

HEARTBEAT = 15.0
"""Seconds after which a comment is sent where nothing happens, so that who went away is noticed."""
RETRY = 2000
ENDED = frozenset({"done", "error", "cancelled"})


@blueprint.get("/events")
def events() -> ResponseReturnValue:
    """Events of all jobs."""
    return _events(None)


@blueprint.get("/jobs/<job_id>/events")
def job_events(job_id: str) -> ResponseReturnValue:
    """Events of one job; the stream ends with the job."""
    return _events(backend().jobs.job(job_id).id)


def _events(job: str | None) -> ResponseReturnValue:
    behind = backend()
    after = _position()
    if request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) != "text/event-stream":
        found = feed.since(behind.jobs.engine, after or 0, job)
        return {"items": [as_json(each) for each in found], "last": found[-1].id if found else after or 0}
    if after is None:
        after = feed.newest(behind.jobs.engine) if job is None else 0
    if job is not None and _over(behind, job, after):
        return "", 204  # tells an EventSource not to come again
    if not behind.streams.acquire(blocking=False):
        raise Busy("too many streams are open in this process; try again shortly")
    answer = Response(_stream(behind, job, after), mimetype="text/event-stream")
    answer.headers["X-Accel-Buffering"] = "no"
    answer.headers["Cache-Control"] = "no-store"
    answer.call_on_close(behind.streams.release)
    return answer


def _position() -> int | None:
    """After which number to go on: what an EventSource sends when it comes again, or `?after=`."""
    text = request.headers.get("Last-Event-ID") or request.args.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RequestError("after: expected the number of an event")
    return int(text)


def _over(behind: Backend, job: str, after: int) -> bool:
    """Whether a job has ended and all of it has been told."""
    ended = behind.jobs.job(job).status in ("done", "error")
    return ended and not feed.since(behind.jobs.engine, after, job, limit=1)


def _stream(behind: Backend, job: str | None, after: int) -> Iterator[str]:
    yield f"retry: {RETRY}\n\n"
    for found in behind.watch.follow(after, job, HEARTBEAT):
        if not found:
            yield ":\n\n"
        for each in found:
            yield f"id: {each.id}\ndata: {json.dumps(as_json(each))}\n\n"
            if job is not None and each.kind in ENDED:
                return


def as_json(event: Event) -> dict[str, Any]:
    """An event as clients see it."""
    return {"id": event.id, "job": event.job, "kind": event.kind, "data": event.data, "at": event.at.isoformat()}
