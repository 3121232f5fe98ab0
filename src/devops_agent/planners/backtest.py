"""What a runbook would have done to logs that are kept: each log is diagnosed with it and without it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devops_agent.distil import distil_source
from devops_agent.errors import ConfigError
from devops_agent.model import UNKNOWN, Diagnosis, Digest
from devops_agent.planners import NoLook
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.runbooks.load import Library, parse_all
from devops_agent.scan import Signatures

Effect = Literal["matched", "won", "new", "stolen", "disturbed", "false_alarm"]
EFFECTS: dict[Effect, str] = {
    "matched": "its patterns match; another cause is named, with it and without it",
    "won": "its cause is named, as without it",
    "new": "its cause is named; without it none was",
    "stolen": "its cause is named; without it another one was",
    "disturbed": "another answer than without it, although its cause is not named",
    "false_alarm": "the log is healthy, and with it a cause is named",
}
HARMFUL: tuple[Effect, ...] = ("stolen", "disturbed", "false_alarm")
"""What a person should look at before the runbooks are put to use."""

HEALTHY = frozenset({"quiet", "healthy"})
"""Folders of these names hold logs of what went well."""


@dataclass(frozen=True)
class Stored:
    """One log that is kept: where it is from, its text, and whether it is known to be healthy."""

    name: str
    log: bytes | Path
    healthy: bool = False


@dataclass(frozen=True)
class Verdict:
    """What became of one log: the effect, the answer without the tested runbooks, and the one with them."""

    log: str
    effect: Effect
    runbooks: tuple[str, ...]
    before: str
    after: str
    confidence: float


@dataclass(frozen=True)
class Backtest:
    """All logs that the tested runbooks did anything to, and how many logs there were."""

    runbooks: tuple[str, ...]
    logs: int
    healthy: int
    verdicts: tuple[Verdict, ...]

    @property
    def harmful(self) -> bool:
        """Whether answers of others changed, or a healthy log got a cause."""
        return any(each.effect in HARMFUL for each in self.verdicts)

    def count(self, effect: Effect) -> int:
        """How many logs it did this to."""
        return sum(each.effect == effect for each in self.verdicts)


def split(known: Library, path: Path) -> tuple[Library, Library, tuple[str, ...]]:
    """The library with the runbooks of a file or directory, the one without them, and their ids."""
    bodies, rows = parse_all(path, known.causes)
    if not bodies:
        raise ConfigError(f"{path}: no runbook (*.yaml) in it")
    return known.joined(bodies, rows), known.without(bodies), tuple(bodies)


def backtest(with_it: Library, without_it: Library, tested: Iterable[str], logs: Iterable[Stored]) -> Backtest:
    """Diagnose every log with and without the tested runbooks, from the text alone, and tell the difference."""
    names = frozenset(tested)
    ours, others = _Reader(with_it), _Reader(without_it)
    found: list[Verdict] = []
    count = healthy = 0
    for stored in logs:
        count += 1
        healthy += stored.healthy
        digest, after = ours.read(stored.log)
        hit = tuple(sorted({each.signature for each in digest.hits} & names))
        if not hit:
            continue
        _, before = others.read(stored.log)
        effect = _effect(before, after, names, stored.healthy)
        found.append(Verdict(stored.name, effect, hit, _said(before), _said(after), after.confidence))
    order = list(EFFECTS)
    found.sort(key=lambda each: (-order.index(each.effect), each.log))
    return Backtest(tuple(sorted(names)), count, healthy, tuple(found))


def stored_logs(folder: Path) -> Iterator[Stored]:
    """Every file of a directory; those below a folder named `quiet` or `healthy` are of what went well."""
    if not folder.is_dir():
        raise ConfigError(f"--logs: {folder}: no such directory")
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            parts = {*folder.resolve().parts[-2:], *inside.parts[:-1]}
            yield Stored(str(inside), path, bool(parts & HEALTHY))


class _Reader:
    def __init__(self, library: Library) -> None:
        self._signatures = Signatures(library.signatures())
        self._planner = RunbookPlanner(library)

    def read(self, log: bytes | Path) -> tuple[Digest, Diagnosis]:
        digest = distil_source(log, self._signatures)
        return digest, self._planner.diagnose(digest, (), NoLook())


def _effect(before: Diagnosis, after: Diagnosis, names: frozenset[str], healthy: bool) -> Effect:
    ours = after.runbook in names
    if after.cause != UNKNOWN and (healthy or (ours and not before.failure)):
        return "false_alarm"
    if before.cause == after.cause:
        return "won" if ours else "matched"
    if not ours:
        return "disturbed"
    return "new" if before.cause == UNKNOWN else "stolen"


def _said(diagnosis: Diagnosis) -> str:
    return diagnosis.cause if diagnosis.failure else "no failure"
