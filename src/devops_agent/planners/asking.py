"""What a model is told first: the lines that matter, the place, what was seen and tried, and what it may call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from devops_agent.inventory import Place
from devops_agent.llm.request import Function, Message, Request
from devops_agent.model import Attempt, Digest, Evidence
from devops_agent.planners import Looking, data, offer
from devops_agent.tools.base import Tool

PROMPT = Path(__file__).with_name("prompts") / "diagnose.md"

FIRST = 8000
"""Bytes that the first request should have at most, as providers' clients write it."""

EXCERPT = 2600
"""The excerpt may take so many bytes before anything else is left out for it, and `LEAST` whatever else there is."""
LEAST = 1600

WEAK = 800
"""Bytes of lines beside which nothing speaks of a failure."""

PROBES = 2000
LEAST_PROBES = 900
CHANGES = 700
"""Bytes of probes, offered as functions, and of changes, listed; the others are found by `find_tools`."""

_EMPTY = re.compile(r"^[\s^~|.=*_-]*$")

_TROUBLE = re.compile(
    r"error|fatal|fail|exception|panic|refused|denied|cannot|unable|not found|no such|killed|abort|time.?out|full"
    r"|already in use|expired|invalid|missing|unexpected|exceeded|exit(?:ed)? (?:code|status|with)",
    re.IGNORECASE,
)

TEXT: dict[str, Any] = {"type": "string"}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT}


def _rows(said: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object"}, "description": said}


CONCLUDE = Function(
    "conclude",
    "Your conclusion. Ends the diagnosis.",
    {
        "type": "object",
        "properties": {
            "cause": TEXT,
            "summary": {"type": "string", "description": "a sentence or two for an engineer"},
            "confidence": {"type": "number"},
            "failure": {"type": "boolean"},
            "evidence": _rows("[{id, quote}]"),
            "steps": _rows("[{tool, args: {}, why}]"),
            "checks": _rows("[{probe, args: {}, expect: [condition]}]"),
            "question": TEXT,
            "advice": TEXTS,
            "service": TEXT,
        },
        "required": ["cause", "summary", "confidence", "evidence"],
    },
)
FIND = Function(
    "find_tools",
    "More probes and changes, by words; then they can be called or proposed.",
    {"type": "object", "properties": {"words": TEXT}, "required": ["words"]},
)
LINES = Function(
    "log_lines",
    "The lines of the excerpt that were left out, from one line number to another.",
    {
        "type": "object",
        "properties": {"first": {"type": "integer"}, "last": {"type": "integer"}},
        "required": ["first", "last"],
    },
)


@dataclass
class Question:
    """The first request, and what it showed: only that may be cited."""

    request: Request
    shown: dict[str, str]
    tools: dict[str, Tool]


@dataclass(frozen=True)
class Hint:
    """A runbook that fits, for context: what it is about, what it would look at and do."""

    runbook: str
    cause: str
    title: str
    summary: str
    tools: tuple[str, ...] = ()


def question(
    digest: Digest,
    history: Sequence[Attempt],
    look: Looking,
    causes: Iterable[str],
    turns: int,
    hints: Sequence[Hint] = (),
) -> Question:
    """The first request of an attempt."""
    tools = {name: tool for name, tool in look.tools.items() if offer.fits(tool, look.place, look.has)}
    words = " ".join(each.text for each in digest.evidence) + " " + " ".join(look.failing)
    first = [name for hint in hints for name in hint.tools]
    order = offer.ranked(tools.values(), words, first)
    system = system_text(causes, turns)
    about = (_place(look), _seen(look.seen), _hints(hints), _tried(history), _changes(order, bool(tools)))
    rest = "\n\n".join(filter(None, about))
    extra = [FIND, CONCLUDE] if tools else [CONCLUDE]
    room = FIRST - size(Request(system, (Message("user", rest),), (*extra, LINES)))
    least = min(LEAST_PROBES, PROBES) if tools else 0
    chosen = excerpt(digest, max(LEAST, min(max(EXCERPT, room - PROBES), room - least)))
    left = room - sum(_cost(each) for each in chosen)
    offered = offer.functions((tool for tool in order if tool.kind == "probe"), max(least, min(PROBES, left)))
    if any(each not in chosen and not _EMPTY.match(each.text) for each in digest.evidence):
        extra = [LINES, *extra]
    head = f"Log: {digest.lines_read} lines, format {digest.format}. Its lines that matter (DATA):"
    body = "\n".join([head, *_numbered(chosen)])
    request = Request(system, (Message("user", f"{body}\n\n{rest}"),), (*offered, *extra))
    shown = {each.id: each.text for each in (*chosen, *look.seen) if each.line is not None or each.data is not None}
    return Question(request, shown, tools)


def system_text(causes: Iterable[str], turns: int) -> str:
    """The instructions, which nothing that came from a machine is a part of."""
    return Template(_prompt()).substitute(turns=turns, causes=", ".join(causes))


def size(request: Request) -> int:
    """About how many bytes a request has when a provider's client has written it."""
    return len(request.text().encode("utf-8", "surrogatepass")) + 62 * len(request.functions) + 200


def excerpt(digest: Digest, room: int) -> list[Evidence]:
    """The lines of the digest that fit, the most telling first chosen, in the order of the log."""
    weight: dict[int, float] = {}
    for hit in digest.hits:
        for number in hit.lines:
            weight[number] = max(weight.get(number, 0.0), hit.weight)
    lines = list(digest.evidence)
    score = [weight.get(each.line or 0, 0.0) + (0.6 if _TROUBLE.search(each.text) else 0.0) for each in lines]
    near = [own + 0.3 * max(score[max(0, at - 2) : at + 3], default=0.0) for at, own in enumerate(score)]
    chosen: set[int] = set()
    weak = WEAK
    for at in sorted(range(len(lines)), key=lambda at: (-near[at], -at if near[at] < 0.2 else at)):
        cost = _cost(lines[at])
        if near[at] < 0.2:
            weak -= cost
        if cost <= room and weak >= 0 and not _EMPTY.match(lines[at].text):
            chosen.add(at)
            room -= cost
    return [lines[at] for at in sorted(chosen)]


def more_lines(digest: Digest, first: int, last: int) -> list[Evidence]:
    """Lines of the digest between two numbers, as many as fit into one answer."""
    found: list[Evidence] = []
    room = data.RESULT
    for each in digest.evidence:
        if first <= (each.line or 0) <= last:
            room -= len(data.line(each.text)) + len(each.id) + 4
            if room < 0:
                break
            found.append(each)
    return found


def _cost(each: Evidence) -> int:
    """Bytes of a line in a request; quotation marks are escaped there."""
    text = data.line(each.text)
    return len(text.encode("utf-8", "surrogatepass")) + text.count('"') + text.count("\\") + len(each.id) + 4


def numbered(lines: Iterable[Evidence]) -> str:
    """Lines with their ids, as data."""
    return "\n".join(_numbered(lines))


def _numbered(lines: Iterable[Evidence]) -> list[str]:
    return [f"{each.id}| {data.line(each.text)}" for each in lines]


@cache
def _prompt() -> str:
    return PROMPT.read_text(encoding="utf-8").strip()


def _place(look: Looking) -> str:
    """The inventory in a few lines: names, ports, who supervises, what fails at the moment."""
    place: Place = look.place
    if not look.tools:
        return "There is no place to look at: conclude from the log alone, with no steps."
    inventory = place.inventory
    parts = []
    for name, service in inventory.services.items():
        facts = [service.supervisor or "", *(f"port {port}" for port in service.ports)]
        facts += ["health FAILS"] if name in look.failing else []
        parts.append(f"{name} ({', '.join(filter(None, facts))})")
    lines = [f"Place (DATA): {place.name}"]
    if parts:
        lines.append("services: " + "; ".join(parts))
    for name in ("datastores", "repositories", "environments", "certificates", "volumes", "locks", "checks"):
        if entries := getattr(inventory, name):
            lines.append(f"{name}: {', '.join(entries)}")
    return "\n".join(data.line(each, 600) for each in lines)


def _seen(seen: Sequence[Evidence]) -> str:
    lines = [f"{data.line(each.id, 300)}| {data.line(each.text, 220)}" for each in seen if each.data is not None]
    return "\n".join(["Seen already (DATA):", *lines[:5]]) if lines else ""


def _hints(hints: Sequence[Hint]) -> str:
    if not hints:
        return ""
    lines = [f"- {one.cause}: {one.title}. {one.summary}".strip() for one in hints]
    return "\n".join(["Runbooks that fit best (they may be wrong):", *(data.line(each, 170) for each in lines)])


def _tried(history: Sequence[Attempt]) -> str:
    lines = []
    for number, attempt in enumerate(history, 1):
        if attempt.verification is None and not attempt.outcomes:
            continue
        said, plan, proof = attempt.diagnosis, attempt.plan, attempt.verification
        ended = {outcome.action_id: outcome for outcome in attempt.outcomes}
        did = [
            f"{action.tool}({', '.join(f'{k}={data.line(str(v), 80)}' for k, v in sorted(action.args.items()))}) "
            f"{ended[action.id].status if action.id in ended else 'not done'}"
            for action in (plan.actions if plan else ())
        ]
        undone = "It was undone. " if attempt.undone else ""
        lines.append(
            f"{number}. {said.cause if said else '?'}: {'; '.join(did) or 'nothing was done'}. "
            f"{undone}Afterwards: {proof.reason if proof else 'not verified'}."
        )
    if not lines:
        return ""
    return "\n".join(["Tried before, and did not end it (DATA):", *(data.line(each, 600) for each in lines[-2:])])


def _changes(order: Sequence[Tool], any_tools: bool) -> str:
    listed = offer.signatures((tool for tool in order if tool.kind == "change"), CHANGES)
    return f"Changes that steps may name (? is optional; others: find_tools): {listed}" if any_tools else ""
