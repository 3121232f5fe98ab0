"""The events over a WebSocket, for who would rather have one: `/api/v1/events/ws`, `/api/v1/jobs/<id>/events/ws`.

The same messages as the stream's, one JSON text each; `?after=` resumes. The socket ends with the job or the service.
What the client sends is not read. A page of another site cannot open one: browsers tell the origin of a socket's page.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import request
from flask_sock import Sock  # type: ignore[import-untyped]

from devops_agent.errors import RequestError
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.v1 import events
from devops_agent.web.v1.operations import PREFIX

if TYPE_CHECKING:
    from flask import Flask

GOING_AWAY = 1001
PING_SECONDS = 25


def register(app: Flask) -> None:
    """Add both addresses."""
    app.config.setdefault("SOCK_SERVER_OPTIONS", {"ping_interval": PING_SECONDS, "max_message_size": 1024})
    sock = Sock(app)
    for path, name in (("/events/ws", "all_events"), ("/jobs/<job_id>/events/ws", "job_events")):
        endpoint = f"socket_{name}"
        sock.route(PREFIX + path, endpoint=endpoint)(_send)
        app.view_functions[endpoint] = _prepared(app.view_functions[endpoint])


def _prepared(talk: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse what has to be refused before hands are shaken: then it still is an answer of HTTP."""

    @functools.wraps(talk)
    def view(job_id: str | None = None) -> Any:
        behind = backend()
        job = behind.jobs.job(job_id).id if job_id is not None else None
        after = events.begin(behind, job, _position())
        try:
            return talk(job, after)
        finally:
            behind.streams.release()

    return view


def _send(socket: Any, job: str | None, after: int) -> None:
    behind = backend()
    sight = events.Sight(auth.doors(), auth.caller())
    for found in behind.watch.follow(after, job, events.HEARTBEAT):
        if not socket.connected:
            return
        for each in sight.of(found):
            socket.send(json.dumps(events.as_json(each)))
            if job is not None and each.kind in events.ENDED:
                return
    socket.close(GOING_AWAY, "the service is being stopped")


def _position() -> int | None:
    text = request.args.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RequestError("after: expected the number of an event")
    return int(text)
