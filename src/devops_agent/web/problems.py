"""Every answer that is not what the client hoped for, as JSON without internals.

Errors made on purpose (AgentError) carry a message for people and a status; those of HTTP get a sentence; anything else
is logged under a reference and answered with that reference alone.
"""

from __future__ import annotations

import logging
import math
import secrets
import traceback
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException, InternalServerError

from devops_agent.errors import AgentError

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

log = logging.getLogger("devops_agent.web")

SENTENCES = {
    400: "the request could not be understood",
    401: "a key is needed",
    403: "this is not allowed from here",
    404: "there is nothing at this address",
    405: "this method is not allowed at this address",
    408: "the request took too long to arrive",
    413: "the body is too large",
    414: "the address is too long",
    415: "this content type is not accepted",
    429: "too many requests",
    431: "the headers are too large",
    503: "the service is busy; try again shortly",
}


class Forbidden(AgentError):
    """The request comes from a page or under a name that may not do this."""

    code = "forbidden"
    status = 403


class Busy(AgentError):
    """Too many requests are being waited for in this process."""

    code = "busy"
    status = 503


class Unauthorized(AgentError):
    """A key is needed, and none came along, or one that opens nothing."""

    code = "unauthorized"
    status = 401


class TooMany(AgentError):
    """The caller asks too often."""

    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(seconds))


def headers_of(error: AgentError) -> dict[str, str]:
    """What a client's program should know besides the message."""
    if error.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="devops-agent"'}
    if error.status in (429, 503):
        return {"Retry-After": str(getattr(error, "retry_after", 2))}
    return {}


def register(app: Flask, details: bool = False) -> None:
    """Install the error answers. `details` adds the traceback of unexpected errors (debugging on loopback only)."""

    def on_agent_error(error: AgentError) -> ResponseReturnValue:
        if error.status >= 500 and not isinstance(error, Busy):
            return unexpected(error)
        return {"error": str(error), "code": error.code}, error.status, headers_of(error)

    def on_http_error(error: HTTPException) -> ResponseReturnValue:
        if isinstance(error, InternalServerError):
            return unexpected(error.original_exception or error)
        status = error.code or 500
        body: dict[str, Any] = {"error": SENTENCES.get(status, error.name.lower())}
        headers: dict[str, str] = {}
        if status == 404:
            body["available_endpoints"] = endpoints(app)
        elif status == 405 and (allowed := sorted(getattr(error, "valid_methods", None) or ())):
            body["allowed_methods"] = allowed
            headers["Allow"] = ", ".join(allowed)
        elif status == 413:
            body["error"] += f" (at most {app.config['MAX_CONTENT_LENGTH']} bytes)"
        return body, status, headers

    def unexpected(cause: BaseException) -> ResponseReturnValue:
        reference = secrets.token_hex(4)
        log.error("request failed, reference %s", reference, exc_info=cause)
        body: dict[str, Any] = {"error": "the agent failed to answer; its log has the details", "reference": reference}
        if details:
            body["details"] = "".join(traceback.format_exception(cause))
        return body, 500

    app.register_error_handler(AgentError, on_agent_error)
    app.register_error_handler(HTTPException, on_http_error)


def endpoints(app: Flask) -> list[str]:
    """What there is, as `METHOD /address`, in the order in which it was registered."""
    return [
        f"{method} {rule.rule.replace('<', '{').replace('>', '}').replace('path:', '')}"
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.endpoint != "static"
    ]
