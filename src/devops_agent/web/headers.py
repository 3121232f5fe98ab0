"""What every request and answer carries: an id that logs and errors tell too, headers that keep browsers careful."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from flask import g, request

from devops_agent import seen

if TYPE_CHECKING:
    from flask import Flask, Response

REQUEST_ID = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_SAFE = (
    ("x-content-type-options", "X-Content-Type-Options", "nosniff"),
    ("x-frame-options", "X-Frame-Options", "DENY"),
    ("referrer-policy", "Referrer-Policy", "same-origin"),
    ("cross-origin-opener-policy", "Cross-Origin-Opener-Policy", "same-origin"),
    ("content-security-policy", "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)


def register(app: Flask) -> None:
    """Give every request an id (its own, where it brings one) and every answer the headers."""

    def begin() -> None:
        given = request.headers.get(REQUEST_ID, "")
        g.request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        g.ids = seen.about(request=g.request_id)
        g.ids.__enter__()

    def finish(response: Response) -> Response:
        response.headers[REQUEST_ID] = g.get("request_id") or secrets.token_hex(8)
        there = {name.lower() for name, _ in response.headers}
        for key, name, value in _SAFE:
            if key not in there:
                response.headers.add(name, value)
        if response.status_code == 401:
            response.headers.setdefault("WWW-Authenticate", 'Bearer realm="devops-agent"')
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return response

    def end(_error: BaseException | None) -> None:
        ids = g.pop("ids", None)
        if ids is not None:
            ids.__exit__(None, None, None)

    app.before_request(begin)
    app.after_request(finish)
    app.teardown_request(end)


def request_id() -> str:
    """The id of the request in hand."""
    return str(g.get("request_id", ""))
