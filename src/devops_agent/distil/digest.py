"""The stage itself: a log in, a `Digest` out."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from devops_agent.distil.baseline import Baseline
from devops_agent.distil.excerpt import Excerpt, choose
from devops_agent.distil.hits import hits
from devops_agent.distil.mask import fingerprint
from devops_agent.distil.redact import Redactor
from devops_agent.distil.source import read
from devops_agent.distil.view import View
from devops_agent.model import Digest, Evidence, Incident
from devops_agent.scan import Signatures

CHARS = 20_000
"""Characters of an excerpt: what a model is asked to read."""

Source = Path | str | bytes | BinaryIO


def distil(incident: Incident, signatures: Signatures, lines: int = 50) -> Digest:
    """The digest of an incident's log: the file where there is one, else its text."""
    source: Source = Path(incident.log_file) if incident.log_file else incident.log.encode("utf-8", "surrogatepass")
    baseline = Path(incident.baseline_file) if incident.baseline_file else None
    return distil_source(source, signatures, lines=lines, baseline=baseline)


def distil_source(
    source: Source, signatures: Signatures, lines: int = 50, chars: int = CHARS, baseline: Source | None = None
) -> Digest:
    """The digest of a file, bytes or a stream, plain or compressed; `baseline` is a passing log of the same job."""
    text = read(source, signatures)
    known = _baseline(baseline)
    excerpt: Excerpt = choose(View(text.messages), lines, chars, known)
    redactor = Redactor()
    masked = redactor.text("\n".join(text.lines[index] for index in excerpt.indices)).split("\n")
    evidence = tuple(
        Evidence(id=f"log:{text.numbers[index]}", source="log", text=line, line=text.numbers[index])
        for index, line in zip(excerpt.indices, masked, strict=False)
    )
    return Digest(
        evidence=evidence,
        hits=hits(text, signatures, excerpt),
        lines_read=text.lines_read,
        bytes_read=text.bytes_read,
        format=text.format,
        mode="baseline" if known else "plain",
        failing=excerpt.failing,
        fingerprint=fingerprint(text.messages[index].text for index in excerpt.decisive),
        redactions=dict(redactor.counts),
    )


def _baseline(source: Source | None) -> Baseline | None:
    """The shapes of a passing log, or None where there is no such log."""
    return None if source is None else Baseline(message.text for message in read(source, None).messages)
