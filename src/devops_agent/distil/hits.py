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
    for found in signatures.find([message.text for message in text.messages]):
        best = max(found.lines, key=lambda index: (excerpt.weight(index), -index))
        match = signatures.regex(signatures.patterns.index(found.pattern)).search(text.messages[best].text)
        groups = {name: redactor.text(value) for name, value in match.groupdict().items() if value} if match else {}
        kept = sorted(sorted(found.lines, key=lambda index: (-excerpt.weight(index), index))[:KEPT])
        results.append(
            Hit(
                signature=found.pattern.owner,
                pattern=found.pattern.number,
                lines=tuple(text.numbers[index] for index in kept),
                text=redactor.text(text.messages[best].text),
                groups=groups,
                weight=excerpt.weight(best),
            )
        )
    return tuple(sorted(results, key=lambda hit: (-hit.weight, hit.lines)))
