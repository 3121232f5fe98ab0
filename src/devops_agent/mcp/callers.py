"""Who calls, and what they may: the same keys and roles as the HTTP service's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from devops_agent.errors import AgentError, NotFound
from devops_agent.jobs import keys


class NotPermitted(AgentError):
    """The caller may not do this."""

    code = "forbidden"
    status = 403


@dataclass(frozen=True)
class Caller:
    """A client of this server. `places`: what it may see and act on; empty for all."""

    name: str
    role: str = "admin"
    places: tuple[str, ...] = ()

    def require(self, role: str) -> None:
        """Raise NotPermitted where this role's rights are not among the caller's."""
        if keys.ROLES.index(self.role) < keys.ROLES.index(role):
            raise NotPermitted(f"this needs the role {role}; the key of {self.name} is a {self.role}'s")

    def sees(self, place: str | None) -> bool:
        """Whether a job of this place is for the caller."""
        return not self.places or place in self.places

    def require_place(self, place: str | None, job: str = "") -> None:
        """Raise NotFound where this place is not the caller's: what one may not see is not there."""
        if not self.sees(place):
            raise NotFound(f"no job {job!r}" if job else f"place: no place {place!r}")


def known_by(engine: Engine, headers: Mapping[str, str], nobody: Caller | None) -> Caller | None:
    """Whose key a request carries; `nobody` where there are no keys at all; None: it may not come in."""
    if not keys.exist(engine):
        return nobody
    kind, _, text = headers.get("authorization", "").partition(" ")
    key = keys.opened(engine, text.strip() if kind.lower() == "bearer" else headers.get("x-api-key", ""))
    return Caller(f"mcp:{key.name}", key.role, key.places) if key is not None else None
