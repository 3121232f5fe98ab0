"""`POST /hooks/<name>`: what other systems report. Proven, written down, answered; worked on afterwards."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flask import Blueprint, request

from devops_agent.connect import signatures, vendors
from devops_agent.connect.inbox import Full
from devops_agent.connect.inbox import take as write_down
from devops_agent.errors import NotFound
from devops_agent.web import body
from devops_agent.web.api import backend
from devops_agent.web.auth import public
from devops_agent.web.problems import Busy

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

LARGEST = 26 << 20
"""Bytes of a delivery; the largest that any of the vendors sends has 25 MB."""

log = logging.getLogger("devops_agent.connect")
blueprint = Blueprint("hooks", __name__)


@blueprint.post("/hooks/<name>")
@public
def take(name: str) -> ResponseReturnValue:
    """Take in one delivery. Its sender is known by the hook's own secret, not by a key of the API."""
    behind = backend()
    hook = behind.connections.hooks.get(name)
    if hook is None:
        raise NotFound("no hook of this name is configured")
    if behind.stopping.is_set():
        raise Busy("the service is being stopped; send it again shortly")
    headers = {key.lower(): value for key, value in request.headers.items()}
    request.max_content_length = min(LARGEST, behind.settings.max_body_bytes)
    try:
        signatures.prove_sender(hook, headers, request.args)
        raw = body.content()
        identity = signatures.prove_body(hook, headers, raw)
    except signatures.Unproven as refused:
        log.warning("hook %s: refused what came from %s: %s", hook.name, request.remote_addr, refused)
        raise
    heard = vendors.hear(hook, headers, raw)
    try:
        taken = write_down(behind.jobs.engine, hook, heard, heard.identity or identity)
    except Full as full:
        raise Busy(str(full)) from None
    answer = {"status": taken.status, "event": heard.event, "signals": taken.signals}
    if taken.reason:
        answer["reason"] = taken.reason
    if taken.status != "accepted":
        return answer, 200
    behind.jobs.tell()
    return answer, 202
