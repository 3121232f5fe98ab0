"""What happens, as it happens: server-sent events of one job or of all, which resume after the last number seen.

`Accept: text/event-stream` asks for the stream; anything else gets the events so far as JSON. The same events come over
a WebSocket at `/api/v1/events/ws` and `/api/v1/jobs/{job_id}/events/ws`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flask import Response, request
from flask.typing import ResponseReturnValue

from devops_agent.errors import RequestError
from devops_agent.jobs import feed
from devops_agent.jobs.feed import Event
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.auth import Caller, Doors
from devops_agent.web.backend import Backend
from devops_agent.web.problems import Busy
from devops_agent.web.v1.operations import operation
from devops_agent.web.v1.shapes import EventQuery, Events

HEARTBEAT = 15.0
"""Seconds after which a comment is sent where nothing happens, so that who went away is noticed."""
RETRY = 2000
ENDED = frozenset({"done", "error", "cancelled"})
SSE = "text/event-stream"
_STREAM = {SSE: {"type": "string"}}


@operation("GET", "/events", tag="events", query=EventQuery, answer=Events, also=_STREAM, problems=(503,))
def list_events(query: EventQuery) -> ResponseReturnValue:
    """Events of all jobs: those so far as JSON, or all that come as a stream (`Accept: text/event-stream`).

    A stream begins with what happens from now on, or after the number in `Last-Event-ID` or `after`.
    """
    return _events(query, None)


@operation(
    "GET", "/jobs/<job_id>/events", tag="events", query=EventQuery, answer=Events, also=_STREAM, problems=(404, 503)
)
def list_job_events(job_id: str, query: EventQuery) -> ResponseReturnValue:
    """Events of one job, from its beginning. As a stream they end with the job; asked again after that: `204`."""
    return _events(query, backend().jobs.job(job_id).id)


class Sight:
    """Which events a caller sees; a job's place is looked up once."""

    def __init__(self, doors: Doors, caller: Caller) -> None:
        self.doors = doors
        self.caller = caller
        self._known: dict[str, bool] = {}

    def of(self, events: list[Event]) -> list[Event]:
        """Those of the caller's places."""
        return events if self.caller.places is None else [each for each in events if self._sees(each.job)]

    def _sees(self, job: str) -> bool:
        if job not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[job] = self.doors.sees(self.caller, job)
        return self._known[job]


def begin(behind: Backend, job: str | None, after: int | None) -> int:
    """Take one of the places for streams; after which event it begins. Raises Busy where all are taken."""
    if not behind.streams.acquire(blocking=False):
        raise Busy("too many streams are open in this process; try again shortly")
    if after is not None:
        return after
    return feed.newest(behind.jobs.engine) if job is None else 0


def as_json(event: Event) -> dict[str, Any]:
    """An event as clients see it."""
    return {"id": event.id, "job": event.job, "kind": event.kind, "data": event.data, "at": event.at.isoformat()}


def _events(query: EventQuery, job: str | None) -> ResponseReturnValue:
    behind = backend()
    after = _position(query)
    sight = Sight(auth.doors(), auth.caller())
    if request.accept_mimetypes.best_match(["application/json", SSE]) != SSE:
        found = feed.since(behind.jobs.engine, after or 0, job, query.limit)
        return {"items": [as_json(each) for each in sight.of(found)], "last": found[-1].id if found else after or 0}
    if job is not None and _over(behind, job, after or 0):
        return "", 204  # tells an EventSource not to come again
    answer = Response(_stream(behind, job, begin(behind, job, after), sight), mimetype=SSE)
    answer.headers["X-Accel-Buffering"] = "no"
    answer.headers["Cache-Control"] = "no-store"
    answer.call_on_close(behind.streams.release)
    return answer


def _position(query: EventQuery) -> int | None:
    """After which number to go on: what an EventSource sends when it comes again, or `?after=`."""
    text = request.headers.get("Last-Event-ID")
    if text is None or text == "":
        return query.after
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RequestError("Last-Event-ID: expected the number of an event")
    return int(text)


def _over(behind: Backend, job: str, after: int) -> bool:
    """Whether a job has ended and all of it has been told."""
    ended = behind.jobs.job(job).status in ("done", "error")
    return ended and not feed.since(behind.jobs.engine, after, job, limit=1)


def _stream(behind: Backend, job: str | None, after: int, sight: Sight) -> Iterator[str]:
    yield f"retry: {RETRY}\n\n"
    for found in behind.watch.follow(after, job, HEARTBEAT):
        if not found:
            yield ":\n\n"
        for each in sight.of(found):
            yield f"id: {each.id}\ndata: {json.dumps(as_json(each))}\n\n"
            if job is not None and each.kind in ENDED:
                return
