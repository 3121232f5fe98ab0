"""The page for people: what needs them, an incident's story, a form for a log, history, runbooks, audit.

Rendered here, without outside addresses; scripts only make it livelier. Everything from logs and tools is escaped, and
what could steer a display (control and direction characters) is made visible.
"""

from __future__ import annotations

from devops_agent.web.pages import (
    assets,
    audit,
    decision,
    halts,
    history,
    incident,
    keys,
    log,
    login,
    now,
    runbooks,
    settings,
    shown,
    tools,
    trial,
)
from devops_agent.web.pages.frame import blueprint

__all__ = [
    "assets",
    "audit",
    "blueprint",
    "decision",
    "halts",
    "history",
    "incident",
    "keys",
    "log",
    "login",
    "now",
    "runbooks",
    "settings",
    "shown",
    "tools",
    "trial",
]
