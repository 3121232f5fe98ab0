"""The runbooks' signatures in a log: where they matched, what their groups took out, how decisive the place is."""

from __future__ import annotations

from devops_agent.distil.excerpt import Excerpt
from devops_agent.distil.redact import Redactor
from devops_agent.distil.source import Text
from devops_agent.model import Hit
from devops_agent.scan import Signatures

KEPT = 20
"""Line numbers that one hit names at most."""


def hits(text: Text, signatures: Signatures, excerpt: Excerpt) -> tuple[Hit, ...]:
    """One hit per pattern that counts, most decisive first."""
    redactor = Redactor()
    results = []
    shown: dict[tuple[str, int], str] = {}
    echo = excerpt.echo
    lines = [message.text if index not in echo else "" for index, message in enumerate(text.messages)]
    for found in signatures.find(lines):
        best = max(found.lines, key=lambda index: (excerpt.weight(index), -index))
        line = text.messages[best].text
        known = (line, redactor.known)
        if known not in shown:
            shown[known] = redactor.text(line)
        masked = shown[known]
        pattern = found.pattern
        match = signatures.regex(found.index).search(line)
        kept = sorted(sorted(found.lines, key=lambda index: (-excerpt.weight(index), index))[:KEPT])
        results.append(
            Hit(
                signature=pattern.owner,
                pattern=pattern.number,
                lines=tuple(text.numbers[index] for index in kept),
                text=masked,
                groups=_groups(match.groupdict(), masked, redactor) if match else {},
                weight=excerpt.weight(best),
            )
        )
    return tuple(sorted(results, key=lambda hit: (-hit.weight, hit.lines)))


def _groups(found: dict[str, str | None], masked: str, redactor: Redactor) -> dict[str, str]:
    """What the named groups took out; of a value that the masked line does not show any more, no more than its mask."""
    groups = {}
    for name, value in found.items():
        if not value:
            continue
        if value not in masked:
            shown = redactor.text(value)
            value = shown if shown != value else "[redacted]"  # noqa: PLW2901
        groups[name] = value
    return groups
