"""API v1: incidents, jobs, plans, events, what is known, the record, keys. Beside the contract of older clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def register(app: Flask) -> None:
    """Add all operations and their description."""
    from devops_agent.web.v1 import (
        catalogue,
        docs,
        events,
        halts,
        incidents,
        jobs,
        keys,
        operations,
        plans,
        record,
        sockets,
    )

    assert all((incidents, jobs, plans, events, catalogue, record, halts, keys, docs))  # noqa: S101  (loading them adds them)
    app.register_blueprint(operations.blueprint)
    sockets.register(app)
