"""Sentry: webhooks of the integration platform. Issues, errors and issue alerts share the issue's id as their key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import TEXT, Heard, Signal
from devops_agent.connect.vendors import reading

FRAMES = 60
_ISSUE = {
    "created": "firing",
    "unresolved": "firing",
    "resolved": "resolved",
    "archived": "resolved",
    "ignored": "resolved",
}
_METRIC = {"critical": "firing", "warning": "firing", "resolved": "resolved"}


def hear(hook: Hook, headers: Mapping[str, str], body: Any) -> Heard:  # noqa: ARG001 (all parsers are called alike)
    """The signal of an error, an issue, or an alert rule."""
    said = reading.table(body, "body")
    resource = headers.get("sentry-hook-resource", "")[:60]
    action = reading.text(said.get("action"), 20)
    name = f"{resource}.{action}"
    if resource not in ("event_alert", "error", "issue", "metric_alert"):
        return Heard(name, ignored="this event opens and closes nothing")
    data = reading.table(said.get("data"), "data")
    sent = headers.get("sentry-hook-timestamp", "")
    at = float(sent) if sent.isascii() and sent.isdigit() and len(sent) < 12 else None
    if resource == "metric_alert":
        return _metric(name, _METRIC.get(action), data)
    if resource == "issue":
        return _issue(name, _ISSUE.get(action), data, at)
    event = reading.table(data.get("event" if resource == "event_alert" else "error"), f"data.{resource}")
    return Heard(name, (_event(event, reading.text(data.get("triggered_rule"))),))


def _event(event: dict[str, Any], rule: str) -> Signal:
    title = reading.text(event.get("title") or event.get("message")) or "error"
    lines = [f"ERROR {title}", *_stacks(event)]
    for field in ("culprit", "message", "location"):
        if value := reading.text(event.get(field), 4000):
            lines.append(f"{field}: {value}")
    tags = event.get("tags")
    pairs = [each for each in tags if isinstance(each, list) and len(each) == 2] if isinstance(tags, list) else []
    labels = reading.labels({str(name): value for name, value in pairs[:20]})
    labels |= {"sentry.rule": rule, "sentry.url": reading.text(event.get("web_url"), 500)}
    return Signal(
        state="firing",
        key=f"issue/{reading.name_of(event.get('issue_id') or event.get('event_id'), 'issue_id')}",
        at=reading.moment(event.get("datetime"), event.get("timestamp"), event.get("received")),
        title=title,
        text="\n".join(lines)[:TEXT],
        labels={name: value for name, value in labels.items() if value},
    )


def _issue(name: str, state: Any, data: dict[str, Any], at: float | None) -> Heard:
    if state is None:
        return Heard(name, ignored="this action opens and closes nothing")
    issue = reading.table(data.get("issue"), "data.issue")
    about = reading.inner(issue, "metadata")
    title = reading.text(issue.get("title"))
    lines = [f"ERROR {title}", f"culprit: {reading.text(issue.get('culprit'))}"]
    if kind := reading.text(about.get("type")):
        lines.append(f"{kind}: {reading.text(about.get('value'), 4000)}")
    lines += [f"{field}: {value}" for field in ("filename", "function") if (value := reading.text(about.get(field)))]
    labels = {
        "sentry.issue": reading.text(issue.get("shortId")),
        "sentry.project": reading.text(reading.inner(issue, "project").get("slug")),
        "sentry.url": reading.text(issue.get("web_url") or issue.get("permalink"), 500),
        "level": reading.text(issue.get("level")),
    }
    signal = Signal(
        state=state,
        key=f"issue/{reading.name_of(issue.get('id'), 'data.issue.id')}",
        at=reading.moment(at, issue.get("lastSeen")),
        title=title,
        text="\n".join(lines) if state == "firing" else "",
        labels={field: value for field, value in labels.items() if value},
    )
    return Heard(name, (signal,))


def _metric(name: str, state: Any, data: dict[str, Any]) -> Heard:
    if state is None:
        return Heard(name, ignored="this action opens and closes nothing")
    alert = reading.table(data.get("metric_alert"), "data.metric_alert")
    title = reading.text(data.get("description_title")) or reading.text(alert.get("title"))
    times = ("date_closed", "date_detected") if state == "resolved" else ("date_started", "date_created")
    signal = Signal(
        state=state,
        key=f"metric/{reading.name_of(alert.get('id'), 'data.metric_alert.id')}",
        at=reading.moment(*(alert.get(field) for field in times)),
        title=title,
        text=f"ERROR {title}\n{reading.text(data.get('description_text'), 4000)}" if state == "firing" else "",
        labels={"sentry.url": url} if (url := reading.text(data.get("web_url"), 500)) else {},
    )
    return Heard(name, (signal,))


def _stacks(event: dict[str, Any]) -> list[str]:
    """The exceptions as their own platform prints them: that is what runbooks know."""
    values = reading.inner(event, "exception").get("values")
    lines: list[str] = []
    for one in values[:10] if isinstance(values, list) else ():
        if not isinstance(one, dict):
            continue
        head = f"{reading.text(one.get('type'))}: {reading.text(one.get('value'), 8000)}"
        frames = reading.inner(one, "stacktrace").get("frames")
        known = [each for each in frames[-FRAMES:] if isinstance(each, dict)] if isinstance(frames, list) else []
        if event.get("platform") == "python":
            lines += ["Traceback (most recent call last):", *(line for each in known for line in _python(each)), head]
        else:
            lines += [head, *(_other(each) for each in reversed(known))]
    return lines


def _python(frame: dict[str, Any]) -> list[str]:
    file, line = reading.text(frame.get("abs_path") or frame.get("filename")), reading.text(frame.get("lineno"))
    lines = [f'  File "{file}", line {line}, in {reading.text(frame.get("function"))}']
    return [*lines, f"    {code}"] if (code := reading.text(frame.get("context_line"), 500)) else lines


def _other(frame: dict[str, Any]) -> str:
    place = ":".join(filter(None, (reading.text(frame.get(each)) for each in ("filename", "lineno", "colno"))))
    return f"    at {reading.text(frame.get('function')) or '?'} ({place})"
