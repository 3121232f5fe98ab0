"""What a webhook says, whoever sent it: something fails now, or does so no more."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from devops_agent.record import Record

TEXT = 200_000
"""Most characters of what a hook itself says; a log that is fetched may be longer."""


class Fetch(Record):
    """The log that belongs to it and has still to be fetched: which of `logs.WAYS`, and the ids that it needs."""

    way: str
    ids: dict[str, Any] = {}


class Signal(Record):
    """One alert, pipeline or event.

    `key` names what fails within its hook: the same key again is the same incident. A success of the same `series` (a
    workflow on a branch) that is newer closes it too. `at` is the sender's own time, so that order of arrival does not
    matter.
    """

    state: Literal["firing", "resolved"]
    key: str
    at: float
    series: str | None = None
    title: str = ""
    text: str = ""
    labels: dict[str, str] = {}
    fetch: Fetch | None = None


class Heard(NamedTuple):
    """What a delivery says: its kind of event, and the signals; where there are none, why."""

    event: str
    signals: tuple[Signal, ...] = ()
    ignored: str = ""
    identity: str | None = None
