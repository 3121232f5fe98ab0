"""What every request and answer carries: an id that logs and errors tell too, headers that keep browsers careful.

Added outside of Flask, where an answer leaves: there it costs a fraction, and no answer is left out.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import has_request_context, request

from devops_agent import seen

if TYPE_CHECKING:
    from flask import Flask

REQUEST_ID = "X-Request-ID"
_OURS = "devops_agent.request_id"
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_SAFE = {
    "x-content-type-options": ("X-Content-Type-Options", "nosniff"),
    "x-frame-options": ("X-Frame-Options", "DENY"),
    "referrer-policy": ("Referrer-Policy", "same-origin"),
    "cross-origin-opener-policy": ("Cross-Origin-Opener-Policy", "same-origin"),
    "content-security-policy": ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    "cache-control": ("Cache-Control", "no-store"),
}
_SECURE = _SAFE | {"strict-transport-security": ("Strict-Transport-Security", "max-age=31536000")}
_CLOSED = {"www-authenticate": ("WWW-Authenticate", 'Bearer realm="devops-agent"')}
Headers = list[tuple[str, str]]


def register(app: Flask) -> None:
    """Give every request an id (its own, where it brings one) and every answer the headers."""
    inner = app.wsgi_app

    def carrying(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        environ[_OURS] = identity = given if _ID.fullmatch(given) else secrets.token_hex(8)

        def start(status: str, headers: Headers, *failure: Any) -> Any:
            wanted = _SECURE if environ.get("wsgi.url_scheme") == "https" else _SAFE
            if status.startswith("401"):
                wanted = wanted | _CLOSED
            there = {name.lower() for name, _ in headers}
            more = [pair for name, pair in wanted.items() if name not in there]
            return start_response(status, [*headers, (REQUEST_ID, identity), *more], *failure)

        with seen.about(request=identity):
            return inner(environ, start)

    app.wsgi_app = carrying  # type: ignore[method-assign]


def request_id() -> str:
    """The id of the request in hand."""
    return str(request.environ.get(_OURS, "")) if has_request_context() else ""
