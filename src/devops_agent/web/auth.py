"""Who calls, and what they may: `flask.g.caller` is set for every request, before anything else looks at it.

Without keys, everybody who reaches the service is an administrator and is called what the request claims; this is for
loopback addresses. Once there is a key (or a provider to log in at), every endpoint but the public ones needs one:
`Authorization: Bearer KEY`, `X-API-Key: KEY`, or the page's session. Endpoints say what they need with `needs`; of
those that say nothing, the ones that only look need a viewer, all others an administrator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import quote

from flask import Flask, current_app, g, has_request_context, redirect, request

from devops_agent.errors import NotFound
from devops_agent.web import grants
from devops_agent.web.grants import ROLES as ROLES
from devops_agent.web.grants import Grant
from devops_agent.web.grants import Role as Role
from devops_agent.web.keyring import Keyring
from devops_agent.web.limits import Buckets
from devops_agent.web.problems import Forbidden, TooMany, Unauthorized
from devops_agent.web.session import Sessions

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from devops_agent.jobs.keys import Key
    from devops_agent.web.backend import Backend

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = "public"
LOGIN = "/dashboard/login"
V = TypeVar("V", bound=Callable[..., object])


@dataclass(frozen=True)
class Caller:
    """Who calls. `places`: what they may see and act on; None for all. `via`: how that is known.

    `grants`: what an account has at which places, where that is not one role for all of them; `places` are then those
    for what the endpoint needs.
    """

    name: str
    role: Role = "viewer"
    places: frozenset[str] | None = None
    via: Literal["open", "key", "session"] = "open"
    key: str | None = None
    grants: tuple[Grant, ...] = ()

    def may(self, role: Role) -> bool:
        """Whether this role's rights are among the caller's."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def acting_as(self, role: Role) -> Caller:
        """The same, with the places at which this role's rights are among the caller's."""
        return replace(self, places=grants.places(self.grants, role)) if self.grants else self

    def called(self, claimed: str) -> str:
        """The name a decision is kept under: the verified one; what the request claims counts only without keys."""
        return claimed if self.via == "open" else self.name


OPEN = Caller("http", "admin")
"""Everybody, where there are no keys."""
NOBODY = Caller("nobody")
"""Who calls a public endpoint, about whom nothing was asked."""


def needs(role: Role) -> Callable[[V], V]:
    """The endpoint is for callers with this role."""

    def mark(view: V) -> V:
        view.needed_role = role  # type: ignore[attr-defined]
        return view

    return mark


def public(view: V) -> V:
    """The endpoint is for everybody: it tells nothing, or finds out by itself who calls (a signature, a log-in)."""
    view.needed_role = PUBLIC  # type: ignore[attr-defined]
    return view


def caller() -> Caller:
    """Who calls; outside of a request, this process itself."""
    return g.caller if has_request_context() and "caller" in g else OPEN


class Doors:
    """Decides about every request of one application."""

    def __init__(self, app: Flask, backend: Backend) -> None:
        settings = backend.settings
        self.app = app
        self.backend = backend
        self.keyring = Keyring(lambda: backend.jobs.engine)
        self.sessions = Sessions(settings)
        self.oidc = bool(settings.oidc_issuer)
        self.grants = grants.parse(settings.oidc_roles) if self.oidc else {}
        rate = settings.requests_per_minute / 60
        self.buckets = Buckets(rate, max(20.0, settings.requests_per_minute / 6)) if rate else None
        self.failures = Buckets(1.0, 60) if rate else None
        self._needed: dict[str | None, str | None] = {None: "viewer"}

    def closed(self) -> bool:
        """Whether callers have to say who they are."""
        return self.oidc or self.keyring.closed()

    def needed(self, endpoint: str | None) -> str | None:
        """What an endpoint asks for: a role, `public`, or None where that depends on the method."""
        if endpoint not in self._needed:
            view = self.app.view_functions.get(endpoint or "")
            static = endpoint is not None and endpoint.rpartition(".")[2] == "static"
            self._needed[endpoint] = PUBLIC if static else getattr(view, "needed_role", None)
        return self._needed[endpoint]

    def identify(self) -> ResponseReturnValue | None:
        """Set `g.caller`, or refuse."""
        role = self.needed(request.endpoint) or ("viewer" if request.method in SAFE else "admin")
        if role == PUBLIC or request.method == "OPTIONS":
            g.caller = NOBODY
        elif not self.closed():
            g.caller = OPEN
            if not _from_here():
                self._others()
        else:
            found = self._verified()
            if found is None:
                return redirect(f"{LOGIN}?next={quote(request.full_path.rstrip('?'))}", 303)
            g.caller = found = found.acting_as(role)  # type: ignore[arg-type]
            self._limit(found.key or f"session {found.name}")
            if not found.may(role):  # type: ignore[arg-type]
                raise Forbidden(f"this needs the role {role}; yours is {found.role}")
            if found.via == "session" and request.method not in SAFE and not self.sessions.sent_token():
                raise Forbidden("token: the form is too old or not ours; reload the page and try again")
            self._within_places(found)
        return None

    def _others(self) -> None:
        """Without keys, only this machine is served, unless told otherwise."""
        if not self.backend.settings.insecure:
            raise Unauthorized(
                "key: the service has no keys yet and answers its own machine only (devops-agent keys create NAME)"
            )
        self._limit(request.remote_addr or "")

    def _verified(self) -> Caller | None:
        """Who calls, by key or session; None where a person should be asked to log in. Raises Unauthorized."""
        text = _sent_key()
        if text is not None:
            key = self.by_secret(text)
            if key is None:
                raise Unauthorized("key: not a key of this service, or one that was revoked or has expired")
            return by_key(key, "key")
        who = self.sessions.read()
        found = self._by_session(who) if who is not None else None
        if found is None and not _for_page():
            raise Unauthorized("key: missing; send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        return found

    def by_secret(self, text: str) -> Key | None:
        """The valid key that a text is, or None; an address that tries many that are none is held off."""
        key = self.keyring.opened(text)
        if key is None and self.failures is not None and (seconds := self.failures.take(request.remote_addr or "")):
            raise TooMany("too many attempts with keys that are none; try again later", seconds)
        return key

    def _by_session(self, who: dict[str, object]) -> Caller | None:
        if "key" in who:
            key = self.keyring.valid(str(who["key"]), str(who["begin"]))
            return by_key(key, "session") if key is not None else None
        values = who.get("values")
        mine = grants.of(map(str, values), self.grants) if isinstance(values, list) else ()
        role = grants.highest(mine)
        return Caller(str(who["name"]), role, None, "session", grants=mine) if role is not None else None

    def _limit(self, name: str) -> None:
        if self.buckets is not None and (seconds := self.buckets.take(name)):
            raise TooMany("too many requests; go on more slowly (DEVOPS_AGENT_REQUESTS_PER_MINUTE)", seconds)

    def _within_places(self, found: Caller) -> None:
        """A job of a place that is not among the caller's is not there."""
        parts = request.view_args or {}
        job = parts.get("job_id", parts.get("batch_id"))
        if found.places is not None and job is not None and not self.sees(found, str(job)):
            raise NotFound(f"no job {job!r}")

    def sees(self, found: Caller, job: str) -> bool:
        """Whether a job, or all jobs of a batch, are of the caller's places; also where there is none of this name."""
        return found.places is None or self.backend.places_of(job) <= found.places


def by_key(key: Key, via: Literal["key", "session"]) -> Caller:
    """Whom a key stands for."""
    places = frozenset(key.places) if key.places else None
    return Caller(key.name, key.role, places, via, key.id)  # type: ignore[arg-type]


def doors() -> Doors:
    """Who decides about the requests of the current application."""
    found: Doors = current_app.extensions["devops_agent_doors"]
    return found


def register(app: Flask, backend: Backend) -> Doors:
    """Have every request looked at."""
    made = app.extensions["devops_agent_doors"] = Doors(app, backend)
    app.before_request(made.identify)
    return made


def _sent_key() -> str | None:
    """The key that a request brings, if any."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if text and kind.lower() == "bearer":
        return text.strip()
    return request.headers.get("X-API-Key")


def _for_page() -> bool:
    """Whether a person is looking: they are asked to log in instead of being refused."""
    wanted = (kind for kind, _ in request.accept_mimetypes)
    return request.method == "GET" and request.path.startswith("/dashboard") and "text/html" in wanted


def _from_here() -> bool:
    address = request.remote_addr or ""
    return address.startswith("127.") or address in ("::1", "")
