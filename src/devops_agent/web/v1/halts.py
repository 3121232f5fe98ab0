"""Halts: nothing is changed, anywhere or in one place, until somebody says go on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from devops_agent.web import auth, halting
from devops_agent.web.body import clean
from devops_agent.web.v1.fields import PlaceName
from devops_agent.web.v1.operations import Body, Query, operation
from devops_agent.web.v1.shapes import Answer


class HaltsQuery(Query):
    """Which halts."""

    ended: Annotated[bool, Field(description="also those that are over")] = False


class NewHalt(Body):
    """What is to stand still, and why."""

    reason: Annotated[str, Field(max_length=1000, description="told with every action that is not done")] = ""
    place: PlaceName | None = None
    by: Annotated[str, Field(max_length=200, description="who says so, where no key tells it")] = ""


class GoOn(Body):
    """Who says go on."""

    by: Annotated[str, Field(max_length=200, description="who says so, where no key tells it")] = ""


class Halt(Answer):
    """One halt, in force until `ended`; without a place it holds everywhere."""

    id: str
    place: str | None
    since: datetime
    by: str
    reason: str
    ended: datetime | None
    ended_by: str | None


class Halts(Answer):
    """Halts, newest first."""

    items: list[Halt]


@operation("GET", "/halts", tag="halts", query=HaltsQuery, answer=Halts)
def list_halts(query: HaltsQuery) -> dict[str, Any]:
    """The halts in force, newest first. While there is one nothing is changed in its place, or anywhere."""
    return {"items": [each.record() for each in halting.in_force(query.ended)]}


@operation(
    "POST", "/halts", tag="halts", role="responder", body=NewHalt, answer=Halt, status=201, problems=(403, 404, 415)
)
def create_halt(body: NewHalt) -> dict[str, Any]:
    """Let nothing be changed from now on, on any machine: the kill switch.

    Logs are still diagnosed and plans made; what is approved is not executed, what has begun ends before its next
    action and says so. A key for some places names one of them.
    """
    return halting.halt(_who(body.by), clean(body.reason), body.place).record()


@operation(
    "POST", "/halts/<halt_id>/end", tag="halts", role="approver", body=GoOn, answer=Halt, problems=(403, 404, 415)
)
def end_halt(halt_id: str, body: GoOn) -> dict[str, Any]:
    """Go on. What was not done meanwhile is not made up for: its incident was left to a person."""
    return halting.go_on(_who(body.by), halt_id).record()


def _who(given: str) -> str:
    return auth.caller().called(clean(given).strip() or "http")
