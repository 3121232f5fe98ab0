"""The lines that matter, for the eye: decisive ones marked, what is around them shown, the rest folded."""

from __future__ import annotations

from dataclasses import dataclass, field

from devops_agent.model import Attempt, Evidence, Report
from devops_agent.web import contract

AROUND = 3
"""Lines that stay open before and after a decisive one."""
FEWEST = 4
"""Fewer lines than these are not worth folding."""


@dataclass(frozen=True)
class Line:
    """One line: its number in the log, its text, whether the diagnosis rests on it."""

    number: int | None
    text: str
    decisive: bool = False


@dataclass
class Part:
    """Lines that are shown, or folded; or (without lines) how many of the log are left out here."""

    lines: list[Line] = field(default_factory=list)
    folded: bool = False
    left_out: int = 0
    from_line: int = 1


def parts(report: Report) -> list[Part]:
    """The excerpt of a report in parts that are open, folded or left out, in the order of the log."""
    if report.digest is None or not report.digest.evidence:
        return []
    decisive = _decisive(report)
    lines = [Line(each.line, each.text, each.id in decisive) for each in report.digest.evidence]
    found: list[Part] = []
    last = 0
    for line, opened in zip(lines, _opened(lines), strict=True):
        if line.number is not None and line.number > last + 1:
            found.append(Part(left_out=line.number - last - 1, from_line=last + 1))
        last = line.number or last
        if not found or not found[-1].lines or found[-1].folded == opened:
            found.append(Part(folded=not opened))
        found[-1].lines.append(line)
    if report.digest.lines_read > last:
        found.append(Part(left_out=report.digest.lines_read - last, from_line=last + 1))
    for part in found:
        part.folded = part.folded and len(part.lines) >= FEWEST
    return found


def _opened(lines: list[Line]) -> list[bool]:
    """Which lines are open: those near a decisive one; all where none is decisive."""
    marked = [index for index, line in enumerate(lines) if line.decisive]
    if not marked:
        return [True] * len(lines)
    return [any(abs(index - mark) <= AROUND for mark in marked) for index in range(len(lines))]


def _decisive(report: Report) -> set[str]:
    first = report.attempts[0] if report.attempts else Attempt()
    if first.diagnosis is None or first.diagnosis.cause == "unknown" or not first.diagnosis.failure:
        return set()
    return {each.id for each in contract.cited(report, first.diagnosis)}


def grounds(report: Report, attempt: Attempt) -> tuple[list[Evidence], list[Evidence]]:
    """On what a diagnosis rests: lines of the log that the page shows, and what probes saw."""
    said = attempt.diagnosis
    if said is None or said.cause == "unknown":
        return [], []
    probes = [each for each in said.looked if each.id in said.evidence]
    if attempt is not report.attempts[0]:
        return [], probes
    return [each for each in contract.cited(report, said) if each.line is not None], probes
