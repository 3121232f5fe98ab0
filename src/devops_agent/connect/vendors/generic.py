"""Any other sender of JSON: the settings say with JSON pointers (RFC 6901) where the fields stand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import TEXT, Heard, Signal
from devops_agent.connect.vendors import reading
from devops_agent.errors import RequestError

MOST = 200


def hear(hook: Hook, headers: Mapping[str, str], body: Any) -> Heard:  # noqa: ARG001 (all parsers are called alike)
    """One signal, or one for each item of the list that `each` points to."""
    mapped = hook.map
    assert mapped is not None  # noqa: S101  (settings refuse a generic hook without it)
    items = [body]
    if mapped.each:
        items = find(body, mapped.each)
        if not isinstance(items, list):
            raise RequestError(f"{mapped.each}: missing, or no list")
    identity = None
    if mapped.delivery and (given := reading.text(find(body, mapped.delivery))):
        identity = hashlib.sha256(f"delivery {given}".encode()).hexdigest()
    found = [_signal(hook, each) for each in items[:MOST]]
    signals = tuple(each for each in found if each is not None)
    return Heard("generic", signals, "" if signals else "its status neither opens nor closes", identity)


def find(value: Any, pointer: str) -> Any:
    """What a JSON pointer leads to; None where there is nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(value):
            value = value[int(name[:9])]
        else:
            return None
    return value


def _signal(hook: Hook, item: Any) -> Signal | None:
    mapped = hook.map
    assert mapped is not None  # noqa: S101
    state = "firing"
    if mapped.status:
        said = reading.text(find(item, mapped.status)).lower()
        if said in (each.lower() for each in mapped.resolved):
            state = "resolved"
        elif said not in (each.lower() for each in mapped.firing):
            return None
    title = reading.text(find(item, mapped.title))
    if not title:
        raise RequestError(f"{mapped.title}: missing, or no text")
    log = find(item, mapped.log) if mapped.log else None
    text = reading.clean(log) if isinstance(log, str) else json.dumps(item, ensure_ascii=False, default=str)
    labels = reading.labels({name: find(item, pointer) for name, pointer in mapped.labels.items()})
    return Signal(
        state="resolved" if state == "resolved" else "firing",
        key=(reading.text(find(item, mapped.key)) if mapped.key else "") or title,
        at=reading.moment(find(item, mapped.at) if mapped.at else None),
        title=title,
        text=f"{title}\n{reading.clean(text)}"[-TEXT:] if state == "firing" else "",
        labels=labels,
    )
