"""PagerDuty: V3 webhook subscriptions. The key is the incident's id; `occurred_at` orders what comes out of order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import TEXT, Heard, Signal
from devops_agent.connect.vendors import reading

_FIRING = frozenset({"incident.triggered", "incident.reopened"})


def hear(hook: Hook, headers: Mapping[str, str], body: Any) -> Heard:  # noqa: ARG001 (all parsers are called alike)
    """The signal of an incident that was triggered, reopened or resolved."""
    event = reading.table(reading.table(body, "body").get("event"), "event")
    kind = reading.name_of(event.get("event_type"), "event.event_type")
    given = reading.text(event.get("id"), 200)
    identity = hashlib.sha256(f"event {given}".encode()).hexdigest() if given else None
    if kind not in _FIRING and kind != "incident.resolved":
        return Heard(kind[:80], ignored="this event opens and closes nothing", identity=identity)
    data = reading.table(event.get("data"), "event.data")
    key = reading.name_of(data.get("id"), "event.data.id")
    at = reading.moment(event.get("occurred_at"), data.get("created_at"))
    title = reading.text(data.get("title")) or key
    if kind == "incident.resolved":
        return Heard(kind, (Signal(state="resolved", key=key, at=at, title=title),), identity=identity)
    service = reading.text(reading.inner(data, "service").get("summary"))
    details = reading.inner(data, "body").get("details")
    lines = [f"ERROR incident {reading.text(data.get('number')) or key}: {title}", f"service: {service}"]
    lines.append(f"urgency: {reading.text(data.get('urgency'))}")
    if priority := reading.text(reading.inner(data, "priority").get("summary")):
        lines.append(f"priority: {priority}")
    lines.append(reading.text(details, TEXT // 2))
    labels = {
        "pagerduty.incident": key,
        "service": service,
        "urgency": reading.text(data.get("urgency")),
        "pagerduty.url": reading.text(data.get("html_url"), 500),
    }
    signal = Signal(
        state="firing",
        key=key,
        at=at,
        title=title,
        text="\n".join(filter(None, lines)),
        labels={name: value for name, value in labels.items() if value},
    )
    return Heard(kind, (signal,), identity=identity)
