"""What a log names: ports, hosts, paths, packages …, from the named groups of the patterns that hit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from devops_agent.model import Evidence, Hit
from devops_agent.planners.context import beside, named_by
from devops_agent.runbooks.schema import FACTS, fact_name

_NUMBERS = frozenset({"port", "exit_code"})
_QUOTES = "\"'`‘’“”"
_URL = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^/@\s]*@)?(\[[0-9a-fA-F:]+\]|[^/:\s?#]+)(?::(\d{1,5}))?", re.IGNORECASE)
_ENDING = re.compile(r"(?<=[\w)\]}])[.:]+$")
"""What ends a sentence, not a name: `1.2.`, `db.internal.`, `/etc/app:`."""
_EXACTLY = re.compile(r"^\(?={1,3} ?(?=\d)|^\((?=[\^~<>]?=? ?\d)")
"""`==1.2` and `= 1.2` are the version 1.2; `^1.2` and `>= 1.2` are a range."""
_NO_HOST = re.compile(
    r"^(?:v?\d+(?:\.\d+){0,2}|failed|error|address|name|server|host|domain|the|is|not|unknown|null|none|undefined|true|false|http|https|tcp|udp)$",
    re.IGNORECASE,
)
"""What a pattern takes for a host where a message is worded otherwise: numbers, versions and words."""
_SLASH = re.compile("%2f", re.IGNORECASE)
"""How the address of a scoped package has its slash."""
_REDACTED = re.compile(r"^[<\[*]+[^>\]]*[>\]*]+$")


def facts(hits: Iterable[Hit]) -> dict[str, Any]:
    """Facts by name: of the first hit that names one, and of several in that hit the first (`localhost/127.0.0.1`)."""
    found: dict[str, Any] = {}
    for hit in hits:
        for group, value in hit.groups.items():
            name, text = fact_name(group), clean(value)
            if name == "package":
                text = _SLASH.sub("/", text)
            if name in FACTS and _plausible(name, text):
                found.setdefault(name, text)
    _from_url(found)
    return found


def around(
    found: dict[str, Any], hits: Iterable[Hit], excerpt: Iterable[Evidence], own: Iterable[str] = ()
) -> dict[str, Any]:
    """Further facts, from the decisive lines and from the excerpt, nearest lines first. Nobody acts on their paths.

    `own`: what the runbook says of such lines; it comes before what is so for any failure.
    """
    decisive = list(hits)[:3]
    at = {line for hit in decisive for line in hit.lines}
    others = sorted(excerpt, key=lambda one: min((abs((one.line or 0) - line) for line in at), default=0))
    lines = [one.text[:2000] for one in others]
    told = _cleaned(named_by(own, lines, found))
    more = told | _cleaned(beside(found | told, [hit.text for hit in decisive], lines))
    whole = found | more
    _from_url(whole)
    return {name: value for name, value in whole.items() if name not in found}


def typed(found: dict[str, Any]) -> dict[str, Any]:
    """The same facts as tools want them: numbers as numbers."""
    return {name: int(v) if name in _NUMBERS and str(v).isdigit() else v for name, v in found.items()}


def clean(value: str | None) -> str:
    """A value without the quotes and punctuation that stood around it; nothing where it was masked."""
    text = (value or "").strip().strip(_QUOTES).strip()
    text = text.rstrip(",;:") if len(text) > 2 else text
    text = _ENDING.sub("", text.strip(_QUOTES))
    for opening, closing in ("()", "[]", "<>", "{}"):
        if text.endswith(closing) and opening not in text:
            text = text[:-1]
    text = _EXACTLY.sub("", text)
    return "" if _REDACTED.match(text) else text[:500]


def _cleaned(found: dict[str, str]) -> dict[str, str]:
    cleaned = ((name, clean(value)) for name, value in found.items())
    return {name: text for name, text in cleaned if _plausible(name, text)}


def _plausible(name: str, text: str) -> bool:
    if name == "host" and _NO_HOST.match(text):
        return False
    return len(text) > 1 or text.isdigit()


def _from_url(found: dict[str, Any]) -> None:
    url = found.get("url")
    parsed = _URL.match(url) if isinstance(url, str) else None
    if parsed:
        found.setdefault("host", parsed[1].strip("[]"))
        if parsed[2]:
            found.setdefault("port", parsed[2])
