"""Alertmanager and Grafana: groups of alerts, each with labels, annotations and its times.

Prometheus: "webhook_config", version 4 of the payload. Grafana: "Webhook notifier", the same form with more fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import TEXT, Heard, Signal
from devops_agent.connect.vendors import reading
from devops_agent.errors import RequestError

MOST = 200
"""Alerts of one delivery that are taken in; Alertmanager's own `max_alerts` cuts earlier."""


def hear(hook: Hook, headers: Mapping[str, str], body: Any) -> Heard:  # noqa: ARG001 (all parsers are called alike)
    """One signal for each alert of the group."""
    group = reading.table(body, "body")
    alerts = reading.tables(group.get("alerts"), "alerts", MOST)
    if not alerts:
        return Heard("alerts", ignored="the group holds no alert")
    return Heard("alerts", tuple(_signal(group, each, f"alerts[{number}]") for number, each in enumerate(alerts)))


def _signal(group: dict[str, Any], alert: dict[str, Any], where: str) -> Signal:
    state = alert.get("status")
    if state not in ("firing", "resolved"):
        raise RequestError(f"{where}.status: expected firing or resolved")
    labels = reading.labels(reading.table(alert.get("labels"), f"{where}.labels"))
    notes = {name: reading.text(each, 20_000) for name, each in reading.inner(alert, "annotations").items()}
    times = (alert.get("startsAt"),) if state == "firing" else (alert.get("endsAt"),)
    named = labels.get("alertname") or reading.text(group.get("receiver")) or "alert"
    said = notes.get("summary") or notes.get("message") or notes.get("description", "").split("\n")[0]
    return Signal(
        state=state,
        key=reading.text(alert.get("fingerprint")) or _fingerprint(labels),
        at=reading.moment(*times),
        title=f"{named}: {said}"[:300] if said else named,
        text=_text(named, alert, labels, notes, group) if state == "firing" else "",
        labels=labels,
    )


def _text(
    named: str, alert: dict[str, Any], labels: dict[str, str], notes: dict[str, str], group: dict[str, Any]
) -> str:
    lines = [f"ERROR alert {named} is firing since {reading.text(alert.get('startsAt'))}"]
    first = [name for name in ("summary", "description", "message") if notes.get(name)]
    rest = sorted(set(notes) - set(first) - {"runbook_url"})
    for name in (*first, *rest):
        lines += [f"{name}: {line}" if number == 0 else line for number, line in enumerate(notes[name].split("\n"))]
    lines += [f"label {name}={value}" for name, value in sorted(labels.items())]
    if values := reading.text(alert.get("valueString"), 1000):
        lines.append(f"values: {values}")
    if type(group.get("truncatedAlerts")) is int and group["truncatedAlerts"] > 0:
        lines.append(f"note: {group['truncatedAlerts']} more alerts of this group were left out by the sender")
    return "\n".join(lines)[:TEXT]


def _fingerprint(labels: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16]
