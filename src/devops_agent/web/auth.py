"""Who calls: `flask.g.caller` is set for every request, before anything else looks at it.

Without keys, everybody who reaches the service is an administrator and is called what the request claims; this is for
loopback addresses. Once there is a key, requests need one, and the key's name is who calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from flask import Flask, g

Role = Literal["viewer", "responder", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may: look; submit, cancel and correct; decide; give keys."""


@dataclass(frozen=True)
class Caller:
    """Who calls. `places`: what they may see and act on; None for all. `via`: how that is known."""

    name: str
    role: Role = "viewer"
    places: frozenset[str] | None = None
    via: Literal["open", "key", "session"] = "open"
    key: str | None = None

    def may(self, role: Role) -> bool:
        """Whether this role's rights are among the caller's."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def called(self, claimed: str) -> str:
        """The name a decision is kept under: the verified one; what the request claims counts only without keys."""
        return claimed if self.via == "open" else self.name


OPEN = Caller("http", "admin")
"""Everybody, where there are no keys."""


def register(app: Flask) -> None:
    """Set `g.caller` for every request."""

    def identify() -> None:
        g.caller = OPEN

    app.before_request(identify)
