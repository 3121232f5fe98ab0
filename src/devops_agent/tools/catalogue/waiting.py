"""Waiting for something that is about to happen: a step of a remedy that changes nothing."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from devops_agent.model import Wait
from devops_agent.tools.base import Commands, change

Limit = Annotated[float, Field(gt=0, le=600)]


@change(effect="read", repeatable=True)
def wait_until(probe: str, args: dict[str, Any], expect: list[str], limit: Limit = 30.0) -> Commands:
    """Look again and again with a probe until its conditions on `result` hold, for at most `limit` seconds."""
    yield Wait(probe=probe, args=args, expect=tuple(expect), limit=limit)
