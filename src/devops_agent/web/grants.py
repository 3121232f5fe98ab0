"""What accounts of an OpenID provider may, as configured: roles by value of a claim, each for all places or for some.

`sre=approver, shop-team=responder@shop+bank, *=viewer@shop`: an account has all that its values stand for. It may do at
a place what the highest of its roles there allows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, get_args

from devops_agent.errors import ConfigError

Role = Literal["viewer", "responder", "approver", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may: look; submit, cancel and correct; decide; give keys."""
EVERYBODY = "*"


class Grant(NamedTuple):
    """A role at some places; None for all."""

    role: Role
    places: frozenset[str] | None = None


def parse(text: str) -> dict[str, list[Grant]]:
    """Grants by value of the claim. Raises ConfigError."""
    found: dict[str, list[Grant]] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        value, _, rest = (part.strip() for part in pair.rpartition("="))
        named, at, where = (part.strip() for part in rest.partition("@"))
        role = next((each for each in ROLES if each == named), None)
        places = frozenset(filter(None, (each.strip() for each in where.split("+"))))
        if not value or role is None or bool(at) != bool(places):
            known = ", ".join(ROLES)
            raise ConfigError(
                f"DEVOPS_AGENT_OIDC_ROLES: {pair!r} is not VALUE=ROLE or VALUE=ROLE@PLACE+PLACE with one of {known}"
            )
        found.setdefault(value, []).append(Grant(role, places if at else None))
    return found


def check_places(text: str, known: Collection[str]) -> None:
    """Refuse a place that is not in the inventory. Raises ConfigError."""
    for each in (grant for grants in parse(text).values() for grant in grants):
        for name in sorted((each.places or frozenset()) - set(known)):
            raise ConfigError(f"DEVOPS_AGENT_OIDC_ROLES: no place {name!r} (known: {', '.join(sorted(known))})")


def of(values: Iterable[str], configured: dict[str, list[Grant]]) -> tuple[Grant, ...]:
    """What an account with these values of the claim has."""
    mine = {*values, EVERYBODY}
    return tuple(grant for value, grants in configured.items() if value in mine for grant in grants)


def highest(grants: Collection[Grant]) -> Role | None:
    """The highest role anywhere; None where there is none."""
    return max((each.role for each in grants), key=ROLES.index, default=None)


def places(grants: Collection[Grant], role: Role) -> frozenset[str] | None:
    """The places at which one has this role or a higher one; None for all."""
    enough = [each.places for each in grants if ROLES.index(each.role) >= ROLES.index(role)]
    return None if None in enough else frozenset().union(*(each for each in enough if each is not None))
