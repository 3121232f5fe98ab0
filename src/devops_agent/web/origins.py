"""Who may talk to the agent from a browser.

The endpoints of the contract are open to pages of any origin in development and of the configured ones in production
(CORS). Reports, decisions and pages are not: without keys, another site's script could approve a repair, either
straight from its own origin or by letting its name resolve to this machine (DNS rebinding). So there the request must
name this machine by an address, as `localhost` or by a configured name, and where the browser says which page asked, it
must be one of the agent's own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from devops_agent.web.problems import API, Forbidden

OWN_AUTH = frozenset({"hooks.take", "links.show", "links.decide"})
"""Endpoints that are reached under any name, and find out by a secret of their own who calls."""
METHODS = "GET, POST, OPTIONS"
HEADERS = (
    "Content-Type, Authorization, X-API-Key, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-ID, "
    "X-CSRF-Token, Prefer"
)
EXPOSED = "ETag, Location, Retry-After, X-Request-ID"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    """The configured origins (`*`: all) and names of this service."""

    def __init__(self, origins: str = "*", names: str = "", own: str = "") -> None:
        listed = {each.strip().rstrip("/").lower() for each in origins.split(",") if each.strip()}
        self.open = "*" in listed
        self.allowed = frozenset(listed - {"*"})
        named = {each.strip().lower() for each in f"{names},{urlsplit(own).hostname or ''}".split(",") if each.strip()}
        self.names = frozenset(named | {"localhost"} | {urlsplit(each).hostname or "" for each in self.allowed} - {""})

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may use the contract's endpoints."""
        return self.open or origin.lower() in self.allowed

    def knows(self, host: str) -> bool:
        """Whether a Host header names this machine in a way that no other site can claim."""
        name = _name(host)
        if name in self.names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def check_public(self) -> None:
        """Refuse a change that a page of another origin asks for, unless configured; raises Forbidden."""
        origin = request.headers.get("Origin")
        if origin is None or request.method in SAFE or self.allows(origin):
            return
        if not (self._is_own(origin) and self.knows(request.host)):
            raise Forbidden("origin: pages of this origin may not use the agent (DEVOPS_AGENT_CORS_ORIGINS)")

    def check_private(self) -> None:
        """Refuse what does not come from this machine's own pages or from a program; raises Forbidden."""
        if not self.knows(request.host):
            raise Forbidden("host: the agent is not known by this name (DEVOPS_AGENT_ALLOWED_HOSTS)")
        self.check_own()

    def check_own(self) -> None:
        """Refuse what another site's page asks for; raises Forbidden."""
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own(origin):
            raise Forbidden("origin: only the agent's own pages may do this")
        if origin is None and request.method not in SAFE:
            site = request.headers.get("Sec-Fetch-Site")
            if site not in (None, "same-origin", "none"):
                raise Forbidden("origin: only the agent's own pages may do this")

    def add_headers(self, response: Response) -> None:
        """CORS headers for an answer of a contract endpoint."""
        if self.open:
            response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.vary.add("Origin")
            origin = request.headers.get("Origin")
            if origin is None or not self.allows(origin):
                return
            response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = "600"

    @staticmethod
    def _is_own(origin: str) -> bool:
        scheme, found, netloc = origin.lower().partition("://")
        return bool(found) and scheme in ("http", "https") and netloc == request.host.lower()


def register(app: Flask, origins: Origins, public: frozenset[str], closed: Callable[[], bool]) -> None:
    """Guard all endpoints; those in `public` are the contract's, all others private. Adds headers to every answer."""

    def guard() -> None:
        via = g.caller.via
        if via == "key":
            return  # no browser sends a key by itself
        if request.endpoint in OWN_AUTH:
            if request.endpoint == "links.decide":
                origins.check_own()
            return
        if via == "session":
            origins.check_own()
        elif request.endpoint in public or request.endpoint is None:
            origins.check_public()
        elif closed():
            origins.check_own()  # names need not be known: under another one nobody has a session
        else:
            origins.check_private()

    def finish(response: Response) -> Response:
        contract = request.endpoint in public or request.endpoint is None
        if contract or (request.path.startswith(API) and closed()):
            origins.add_headers(response)  # who has a key may use it from pages of the configured origins
        return response

    app.before_request(guard)
    app.after_request(finish)


def _name(host: str) -> str:
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host
