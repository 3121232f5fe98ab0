"""What a runbook file may say. `docs/write-a-runbook.md` explains it by example; JSON Schema comes from here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_FACTS = """
port host path url package version image tag branch table database role service unit container pod namespace node
signal exit_code variable command module library certificate test job resource limit key user repository commit
volume topic queue
"""
FACTS = frozenset(_FACTS.split())
"""Names that a pattern's groups may have: the facts that clients of `diagnose` know."""

Confidence = Literal["low", "medium", "high"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


def _signature(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class Part(BaseModel):
    """Base of all parts: frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Signature(Part):
    """One pattern of `match.any`: a string, or a mapping where it deserves another confidence than the runbook."""

    text: str
    confidence: Confidence | None = None


One = Annotated[Signature, BeforeValidator(_signature, json_schema_input_type=str | Signature)]
Signatures = Annotated[tuple[One, ...], BeforeValidator(_listed, json_schema_input_type=str | tuple[One, ...])]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...])]


class Match(Part):
    """A line matches one of `any` and none of `none`, and every pattern of `all` matches some line of the log.

    `facts` only name facts, by their groups, on the lines around the decisive one: they say nothing of the cause.
    """

    any: Annotated[Signatures, Field(min_length=1)]
    all: Texts = ()
    none: Texts = ()
    facts: Texts = ()


class Observation(Part):
    """A look at the place: its result is bound to `name`. Skipped where a `$name` in `args` stands for nothing, and
    where what was seen before does not fulfil `when`.

    A key of `args` that ends with `?` is left out instead where its value is not known.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    probe: str
    args: dict[str, Any] = {}
    when: Texts = ()


class Waiting(Part):
    """Look again until conditions on `result` hold."""

    probe: str
    args: dict[str, Any] = {}
    expect: Texts
    limit: float | str = 30.0


class Remedy(Part):
    """One step of a remedy: a change, or waiting for something that is about to happen."""

    change: str | None = None
    args: dict[str, Any] = {}
    wait_until: Waiting | None = None
    when: str = "always"
    why: str

    @model_validator(mode="after")
    def _one(self) -> Remedy:
        if (self.change is None) == (self.wait_until is None):
            raise ValueError("a remedy step has either `change` or `wait_until`")
        return self


class Ask(Part):
    """A question to a person, with the value that would be taken."""

    question: str
    propose: Any = None


class Goal(Part):
    """A probe and the conditions on its `result` that hold once the cause is gone."""

    probe: str
    args: dict[str, Any] = {}
    expect: Texts


class Finding(Part):
    """One conclusion: its conditions, what it then is, and what is to be done. Without `when` it always holds.

    Its own `gone`, where it has one, takes the place of the runbook's: another cause is gone in another way.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    summary: str
    when: Texts = ()
    cause: str | None = None
    confidence: Confidence | None = None
    remedy: tuple[Remedy, ...] = ()
    ask: Ask | None = None
    gone: Annotated[tuple[Goal, ...], BeforeValidator(_listed, json_schema_input_type=Goal | tuple[Goal, ...])] = ()
    advice: Texts = ()


class Planned(Part):
    """What a client's plan shows even where nothing could be looked at: a tool, its parameters, and when it is used."""

    tool: str
    params: dict[str, Any] = {}
    when: str = "always"


class Examples(Part):
    """Logs that must fire this runbook (and let it win), and logs that must not."""

    match: Annotated[Texts, Field(min_length=1)]
    ignore: Annotated[Texts, Field(min_length=1)]


class Runbook(Part):
    """One file of the library."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    cause: str
    title: str
    description: str
    references: Annotated[Texts, Field(min_length=1)]
    match: Match
    confidence: Confidence = "high"
    defaults: dict[str, Any] = {}
    observe: tuple[Observation, ...] = ()
    findings: tuple[Finding, ...] = ()
    gone: Annotated[tuple[Goal, ...], BeforeValidator(_listed)] = ()
    planned: tuple[Planned, ...] = ()
    advice: Annotated[Texts, Field(min_length=1)]
    examples: Examples

    def patterns(self) -> list[tuple[str, str]]:
        """Role and source of every pattern, in the order of their numbers: `any`, then `all`, then `none`."""
        sources = [("any", each.text) for each in self.match.any]
        sources += [("all", text) for text in self.match.all]
        return sources + [("none", text) for text in self.match.none]

    def goals(self) -> tuple[Goal, ...]:
        """Everything that says whether a cause is gone: the runbook's own, and those of single findings."""
        return (*self.gone, *(goal for finding in self.findings for goal in finding.gone))

    def strength(self, number: int) -> Confidence:
        """How sure the pattern of that number makes us."""
        own = self.match.any[number].confidence if number < len(self.match.any) else None
        return own or self.confidence


def editor_schema(causes: Iterable[str], probes: Iterable[str], changes: Iterable[str]) -> dict[str, Any]:
    """JSON Schema of a runbook for editors, with the causes, facts and tools that there are, to complete and check."""
    made = Runbook.model_json_schema(mode="validation")
    parts = made["$defs"]
    known = {"cause": sorted(causes), "probe": sorted(probes), "change": sorted(changes)}
    for part in (made, *parts.values()):
        for name, values in known.items():
            field = part.get("properties", {}).get(name)
            if field is not None:
                alone = next((each for each in field.get("anyOf", ()) if each.get("type") == "string"), field)
                alone["enum"] = values
    made["properties"]["defaults"]["propertyNames"] = {"enum": sorted(FACTS)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "A runbook of devops_agent"}


def fact_name(group: str) -> str:
    """The fact that a group names: `port` for `port` and for `port_2` (a second place in one pattern)."""
    return re.sub(r"_\d+$", "", group)
