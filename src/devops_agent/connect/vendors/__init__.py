"""Parsers of webhooks, written from their senders' documentation: one module each, one function `hear`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import Heard
from devops_agent.errors import RequestError


def hear(hook: Hook, headers: Mapping[str, str], raw: bytes) -> Heard:
    """What a proven delivery says. Raises RequestError with the field that is not what its sender documents."""
    from devops_agent.connect.vendors import alertmanager, generic, github, gitlab, jenkins, pagerduty, sentry

    ways = {
        "alertmanager": alertmanager.hear,
        "grafana": alertmanager.hear,
        "github": github.hear,
        "gitlab": gitlab.hear,
        "jenkins": jenkins.hear,
        "pagerduty": pagerduty.hear,
        "sentry": sentry.hear,
        "generic": generic.hear,
    }
    return ways[hook.kind](hook, headers, _body(headers, raw))


def _body(headers: Mapping[str, str], raw: bytes) -> Any:
    form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if form and raw.startswith(b"payload="):
        found = parse_qs(raw.decode("utf-8", "replace"), max_num_fields=20).get("payload", [""])
        raw = found[0].encode()
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise RequestError("body: not valid JSON (cut off?)") from None
