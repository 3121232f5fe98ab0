"""Policy: which plans may be executed, which need a person, which never. Deny by default.

    - {deny:  {tool: [reboot_host], labels: {env: production}}}
    - {ask:   {effect: destroy}}
    - {allow: {tool: [rerun_test, restart_service], labels: {env: staging}}}
    - {ask:   {effect: change}}

The first rule that fits decides; where none fits the answer is deny. Rules fit on values, never on rendered text.
Looking (effect `read`) is always allowed. A plan gets the strictest verdict of its actions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from devops_agent.errors import ConfigError
from devops_agent.inventory import Place
from devops_agent.model import Effect, Plan, Ruling, Verdict

_STRICTNESS: dict[Verdict, int] = {"allow": 0, "ask": 1, "deny": 2}
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Fit(BaseModel):
    """What a rule fits on; every field that is given must fit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    effect: Annotated[tuple[Effect, ...] | None, BeforeValidator(_listed)] = None
    cause: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    host: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    place: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    labels: dict[str, str] = {}

    def fits(self, subject: dict[str, Any], labels: dict[str, str]) -> bool:
        """Whether all given fields fit on these values."""
        for field in ("tool", "effect", "cause", "host", "place"):
            wanted = getattr(self, field)
            if wanted is not None and subject[field] not in wanted:
                return False
        return all(labels.get(key) == value for key, value in self.labels.items())


class Policy:
    """Ordered rules, and above them the hard read-only mode."""

    def __init__(self, rules: tuple[tuple[Verdict, Fit], ...] | None = None, read_only: bool = False) -> None:
        self.rules = STRICT if rules is None else rules
        self.read_only = read_only

    def review(self, plan: Plan, place: Place) -> Ruling:
        """The strictest verdict over everything that the plan may do."""
        rulings = [self._judge(subject, place) for subject in _subjects(plan, place)]
        if not rulings:
            return Ruling(verdict="allow", rule="nothing is changed", reason="the plan only looks")
        return max(rulings, key=lambda ruling: _STRICTNESS[ruling.verdict])

    def _judge(self, subject: dict[str, Any], place: Place) -> Ruling:
        what = f"{subject['tool']} ({subject['effect']})"
        if self.read_only:
            return Ruling(
                verdict="deny", rule="read-only mode", reason=f"{what}: nothing may be changed in read-only mode"
            )
        for number, (verdict, fit) in enumerate(self.rules, 1):
            if fit.fits(subject, place.labels):
                conditions = fit.model_dump(exclude_defaults=True, mode="json")
                return Ruling(
                    verdict=verdict, rule=f"{number}: {verdict} {conditions}", reason=f"{what}: {_WORDS[verdict]}"
                )
        return Ruling(verdict="deny", rule="default", reason=f"{what}: no rule allows it")


_WORDS = {"allow": "allowed", "ask": "a person must approve it", "deny": "forbidden"}

STRICT: tuple[tuple[Verdict, Fit], ...] = (
    ("ask", Fit(effect=("change",))),
    ("ask", Fit(effect=("destroy",))),
)
"""The default: looking is allowed, changes and destruction are asked, the rest is denied."""


def load(path: str | Path | None, read_only: bool = False) -> Policy:
    """Policy from a YAML file; the strict default without one. Errors name the file, the rule and the field."""
    if path is None:
        return Policy(read_only=read_only)
    from devops_agent.yamlfile import read

    data = read(Path(path))
    if not isinstance(data, list):
        raise ConfigError(f"{path}: a policy is a list of rules such as `- {{ask: {{effect: change}}}}`")
    rules = tuple(_rule(path, number, entry) for number, entry in enumerate(data, 1))
    return Policy(rules, read_only)


def _rule(path: str | Path, number: int, entry: Any) -> tuple[Verdict, Fit]:
    if not isinstance(entry, dict) or len(entry) != 1 or (verdict := next(iter(entry))) not in _VERDICTS:
        raise ConfigError(f"{path}: rule {number}: must be one of allow, ask, deny with what it fits on")
    try:
        return verdict, Fit.model_validate(entry[verdict] or {})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: rule {number}: {verdict}.{field}: {first['msg']}") from None


def _subjects(plan: Plan, place: Place) -> list[dict[str, Any]]:
    """Everything in a plan that has an effect. Undo only takes back an approved change, so it shares its verdict."""
    common = {"cause": plan.cause, "place": place.name}
    subjects = []
    for action in plan.actions:
        if action.effect != "read" and (action.commands or not action.already):
            subjects.append({"tool": action.tool, "effect": action.effect, "host": action.host, **common})
    return subjects
