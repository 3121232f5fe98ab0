"""The stage itself: a log in, a `Digest` out.

A large log is scanned in threads that leave Python alone most of the time; what the later steps need is imported
meanwhile, which is why those imports stand inside the function.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from devops_agent.distil.memory import Digests
from devops_agent.distil.redact import own_expressions
from devops_agent.distil.source import read
from devops_agent.distil.stored import Source
from devops_agent.scan import Signatures

if TYPE_CHECKING:
    from devops_agent.distil.baseline import Baseline
    from devops_agent.distil.excerpt import Excerpt
    from devops_agent.distil.source import Text
    from devops_agent.model import Digest, Incident

_LATER = "devops_agent.distil.hits"
"""What the later steps import, all of it."""

_LATELY = Digests()

CHARS = 20_000
"""Characters of an excerpt of up to 50 lines: what a model is asked to read. More lines may have more."""


def distil(incident: Incident, signatures: Signatures, lines: int = 50) -> Digest:
    """The digest of an incident's log: the file where there is one, else its text, whose digest may be known."""
    if incident.log_file or incident.baseline_file:
        source: Source = Path(incident.log_file) if incident.log_file else _bytes(incident.log)
        baseline = Path(incident.baseline_file) if incident.baseline_file else None
        return distil_source(source, signatures, lines=lines, baseline=baseline)
    terms = (lines, own_expressions())
    return _LATELY.of(incident.log, signatures, terms, lambda: distil_source(_bytes(incident.log), signatures, lines))


def distil_source(
    source: Source,
    signatures: Signatures,
    lines: int = 50,
    chars: int | None = None,
    baseline: Source | None = None,
    matched: bool = True,
) -> Digest:
    """The digest of a file, bytes or a stream, plain or compressed; `baseline` is a passing log of the same job.

    Where nobody asks which signatures matched (`matched` False), they only help to find the windows of a large log.
    """
    if _LATER in sys.modules:
        text = read(source, signatures)
    else:
        with ThreadPoolExecutor(1) as background:
            reading = background.submit(read, source, signatures)
            import_module(_LATER)
            text = reading.result()
    from devops_agent.distil.excerpt import choose
    from devops_agent.distil.hits import hits
    from devops_agent.distil.view import View

    known = _baseline(baseline)
    excerpt = choose(View(text.messages), lines, chars or max(CHARS, 300 * lines), known)
    return _digest(text, excerpt, "baseline" if known else "plain").model_copy(
        update={"hits": hits(text, signatures, excerpt)} if matched else {}
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(text: Text, excerpt: Excerpt, mode: str) -> Digest:
    """The record, with everything masked that must not be seen."""
    from devops_agent.distil.mask import fingerprint
    from devops_agent.distil.redact import Redactor
    from devops_agent.model import Digest, Evidence

    redactor = Redactor()
    masked = redactor.text("\n".join(text.lines[index] for index in excerpt.indices)).split("\n")
    evidence = tuple(
        Evidence(id=f"log:{text.numbers[index]}", source="log", text=line, line=text.numbers[index])
        for index, line in zip(excerpt.indices, masked, strict=False)
    )
    return Digest(
        evidence=evidence,
        lines_read=text.lines_read,
        bytes_read=text.bytes_read,
        format=text.format,
        mode=mode,
        failing=excerpt.failing,
        fingerprint=fingerprint(text.messages[index].text for index in excerpt.decisive),
        redactions=dict(redactor.counts),
    )


def _baseline(source: Source | None) -> Baseline | None:
    """The shapes of a passing log, or None where there is no such log."""
    if source is None:
        return None
    from devops_agent.distil.baseline import Baseline

    return Baseline(message.text for message in read(source, None).messages)
