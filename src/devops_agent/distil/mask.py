"""The shape of a line: what stays the same over runs, hosts, times and ids. For comparing and for fingerprints."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from devops_agent.scan.memory import remembered

_VARIABLE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|https?://[^\s'\"<>)\]]+"
    r"|(?:[A-Za-z]:)?(?:[\w.@+~-]*[/\\]){1,30}[\w.@+~-]*"
    r"|\b(?:0x)?[0-9a-fA-F]{7,64}\b"
    r"|\b[\w-]*\d[\w-]*\b",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")


@remembered
def shape(message: str) -> str:
    """The message with numbers, hashes, ids, times, addresses and the folders of paths masked."""
    return _SPACE.sub(" ", _VARIABLE.sub(_mask, message)).strip()


def _mask(found: re.Match[str]) -> str:
    text = found[0]
    if "/" in text or "\\" in text:
        if text.startswith("http"):
            return "<url>"
        name = re.split(r"[/\\]", text)[-1]
        return f"<path>{_VARIABLE.sub('#', name)}" if name and not name.isspace() else "<path>"
    return "#"


def fingerprint(messages: Iterable[str]) -> str:
    """One short hash of the shapes of the decisive lines; equal for the same failure in another run."""
    digest = hashlib.sha256()
    for text in dict.fromkeys(shape(message).lower() for message in messages):
        digest.update(text.encode("utf-8", "replace"))
        digest.update(b"\n")
    return digest.hexdigest()[:16]
