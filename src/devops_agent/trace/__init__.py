"""The trace: everything that happened to one incident, in order: requests, answers, looks, decisions, actions, cost.

It is made from the journal, so that it is whole also after a crash, and every text in it is masked once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from devops_agent.distil.redact import redact
from devops_agent.model import ModelCall, Report, revive
from devops_agent.usage import Usage, total

Kind = Literal["stage", "look", "model", "decision", "action", "undo"]
MOST = 20_000
"""Characters of one text."""
_DECISIONS = frozenset({"review", "request", "approval", "brake", "recheck", "vote"})
_PASSED_OVER = ("/started", ".begun", "settled")
_WORDS = {
    "distil": "the lines that matter",
    "health": "what was broken before",
    "diagnosis": "the diagnosis",
    "proposal": "what is wanted done",
    "model/proposal": "what the model wants done",
    "plan": "the plan",
    "review": "policy's ruling",
    "request": "a person is asked",
    "approval": "the decision",
    "brake": "brakes",
    "recheck": "looked at again before acting",
    "marks": "how long the logs were",
    "verified": "the first look after acting",
    "verification": "the proof",
    "again": "fresh lines of the logs",
}


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `begun` and `ended` are seconds since 1970; `good` is None where that is no question."""

    number: int
    kind: Kind
    name: str
    title: str
    attempt: int | None
    begun: float
    ended: float
    good: bool | None = None
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round(max(0.0, self.ended - self.begun), 3)


@dataclass(frozen=True)
class Trace:
    """One incident from its report to its end, as far as it has come."""

    job: str
    title: str
    status: str
    summary: str
    begun: float
    ended: float | None
    usage: Usage
    entries: tuple[Entry, ...]

    def as_data(self) -> dict[str, Any]:
        """As plain JSON values, ready for a page: times in ISO 8601."""
        rows = [
            {**asdict(each), "begun": moment(each.begun), "ended": moment(each.ended), "seconds": each.seconds}
            for each in self.entries
        ]
        ended = moment(self.ended) if self.ended else None
        head = {"job": self.job, "title": self.title, "status": self.status, "summary": self.summary}
        return {**head, "begun": moment(self.begun), "ended": ended, "usage": self.usage.model_dump(), "entries": rows}


def trace(
    made: Report, rows: Iterable[tuple[str, Mapping[str, Any], float]], begun: float, ended: float | None
) -> Trace:
    """The trace of a job from its journal: key, value and time of each kept record, in the order of writing."""
    found: list[Entry] = []
    calls: list[ModelCall] = []
    last = begun
    for key, value, at in rows:
        if key.endswith(_PASSED_OVER):
            continue
        record = revive(dict(value))
        if isinstance(record, ModelCall):
            calls.append(record)
        entry = _entry(len(found) + 1, key, record, last, at)
        found.append(entry)
        last = max(last, entry.ended)
    title, summary = _masked(made.incident.title), _masked(made.summary)
    job = made.job or made.incident.id
    return Trace(job, title, made.status, summary, begun, ended, total(calls), tuple(found))


def moment(stamp: float) -> str:
    """A time in ISO 8601, UTC, in milliseconds."""
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="milliseconds")


def _entry(number: int, key: str, record: Any, last: float, at: float) -> Entry:
    first, _, rest = key.partition("/")
    attempt = int(first) if first.isdigit() and rest else None
    name = rest if attempt is not None else key
    kind = _kind(name, record)
    begun, good = min(last, at), None
    if isinstance(record, ModelCall):
        begun, good = at - record.seconds, not record.error
    elif kind in ("action", "undo"):
        begun, good = at - record.seconds, record.status in ("succeeded", "already")
    elif name == "request":
        begun = at
    elif name == "verification":
        good = record.over
    elif name in ("review", "brake"):
        good = record.verdict != "deny"
    elif name == "approval":
        good = record.granted
    elif kind == "look":
        good = record.data is not None
    data = _clean(record.model_dump(mode="json"))
    return Entry(number, kind, _named(name, kind, record), _title(name, kind, record), attempt, begun, at, good, data)


def _kind(name: str, record: Any) -> Kind:
    if isinstance(record, ModelCall):
        return "model"
    if name.startswith("look/"):
        return "look"
    if name.startswith(("once/", "undo/")):
        return "undo" if name.startswith("undo/") else "action"
    return "decision" if name.partition("/")[0] in _DECISIONS else "stage"


def _named(name: str, kind: Kind, record: Any) -> str:
    if kind == "look":
        return str(record.source)
    if kind == "model":
        return str(record.model)
    return record.action_id if kind in ("action", "undo") else name


def _title(name: str, kind: Kind, record: Any) -> str:
    match kind:
        case "look":
            told = f"{record.id}: {record.text}"
        case "model":
            told = f"{record.model}, turn {record.turn}: {record.error or _answer(record)}"
        case "action" | "undo":
            last = record.output.strip().splitlines()[-1:] or [""]
            told = f"{record.action_id} {'taken back ' if kind == 'undo' else ''}{record.status}: {last[0]}"
        case _:
            told = f"{_WORDS.get(name, name)}: {_said(record)}"
    return _masked(" ".join(told.split()).rstrip(": "))[:400]


def _answer(call: ModelCall) -> str:
    asked = ", ".join(each.name for each in call.calls)
    return f"calls {asked}" if asked else call.text[:200]


def _said(record: Any) -> str:
    """The sentence of a record that says most."""
    for field_name in ("summary", "reason", "text"):
        if text := getattr(record, field_name, ""):
            return str(text)
    if hasattr(record, "granted"):
        return f"{'approved' if record.granted else 'denied'} by {record.by}"
    if hasattr(record, "actions"):
        return ", ".join(each.tool for each in record.actions) or "nothing to do"
    if hasattr(record, "steps"):
        return ", ".join(each.tool for each in record.steps) or "nothing"
    if hasattr(record, "evidence"):
        return f"{len(record.evidence)} of {record.lines_read} lines"
    if hasattr(record, "results"):
        failing = sorted(record.failed())
        return f"failing: {', '.join(failing)}" if failing else "all passes"
    return ""


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _masked(value)
    if isinstance(value, Mapping):
        return {str(key): _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value


def _masked(text: str) -> str:
    text = redact(text)[0] if len(text) > 7 else text
    return text if len(text) <= MOST else f"{text[:MOST]} [… {len(text) - MOST} characters left out …]"


def to_text(made: Trace) -> Iterator[str]:
    """One line for each entry, for terminals and pipes."""
    yield f"{made.job}  {made.status}  {made.summary}"
    if made.usage.requests:
        cost = f"${made.usage.dollars:.4f}" + (" or more" if made.usage.unpriced else "")
        yield f"model: {made.usage.requests} requests, {made.usage.tokens_in} + {made.usage.tokens_out} tokens, {cost}"
    for each in made.entries:
        mark = {True: "+", False: "!", None: " "}[each.good]
        where = f"{each.attempt + 1}" if each.attempt is not None else "-"
        at = moment(each.begun)[11:23]
        yield f"{at} {each.seconds:>8.3f} s {where:>2} {mark} {each.kind:<8} {each.title}"
