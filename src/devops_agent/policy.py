"""Policy: which plans may be executed, which need a person, which never. Deny by default.

    rules:                                   # the file may also be just this list
      - {deny:  {tool: [reboot_host], labels: {env: production}}}
      - {ask:   {effect: destroy, persons: 2}}
      - {allow: {tool: [rerun_test, restart_service], labels: {env: staging}}}
      - {ask:   {effect: change}}
    freeze:                                  # windows in which nothing is changed
      - {days: [fri, sat, sun], from: "16:00", until: "24:00", zone: Europe/Zurich}
    shadow: [disk_full_linux]                # runbooks that plan and never act
    limits: {failures_per_hour: 3, hosts_per_cause_per_hour: 5}

The first rule that fits decides; where none fits the answer is deny. Rules fit on values, never on rendered text.
Looking (effect `read`) is always allowed. A plan gets the strictest verdict of its actions.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from devops_agent.errors import ConfigError
from devops_agent.inventory import Place
from devops_agent.model import Approval, Effect, Plan, Ruling, Verdict, now

log = logging.getLogger("devops_agent.policy")

_STRICTNESS: dict[Verdict, int] = {"allow": 0, "ask": 1, "deny": 2}
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_WORDS = {"allow": "allowed", "ask": "a person must approve it", "deny": "forbidden"}
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = get_args(Day)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Fit(_Part):
    """What a rule fits on (every field that is given must fit), and how many persons an `ask` wants."""

    tool: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    effect: Annotated[tuple[Effect, ...] | None, BeforeValidator(_listed)] = None
    cause: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    host: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    place: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    labels: dict[str, str] = {}
    persons: int = Field(1, ge=1, le=5)

    def fits(self, subject: dict[str, Any], labels: dict[str, str]) -> bool:
        """Whether all given fields fit on these values."""
        for field in ("tool", "effect", "cause", "host", "place"):
            wanted = getattr(self, field)
            if wanted is not None and subject[field] not in wanted:
                return False
        return all(labels.get(key) == value for key, value in self.labels.items())


def _clock(value: Any) -> Any:
    """`24:00` is the end of the day; YAML 1.1 reads an unquoted 16:00 as a number of minutes."""
    if isinstance(value, int):
        value = f"{value // 60:02d}:{value % 60:02d}"
    return time.max if value == "24:00" else value


class Freeze(_Part):
    """A window in which nothing is changed: on these days, between these times of that zone."""

    days: Annotated[tuple[Day, ...], BeforeValidator(_listed)] = _DAYS
    begin: Annotated[time, BeforeValidator(_clock)] = Field(time.min, alias="from")
    until: Annotated[time, BeforeValidator(_clock)] = time.max
    zone: str = "UTC"

    def holds(self, at: datetime) -> bool:
        """Whether this moment lies in the window; one that ends before it begins goes over midnight."""
        local = at.astimezone(ZoneInfo(self.zone))
        clock, today = local.time(), _DAYS[local.weekday()]
        if self.begin <= self.until:
            return today in self.days and self.begin <= clock <= self.until
        yesterday = _DAYS[(local - timedelta(days=1)).weekday()]
        return (today in self.days and clock >= self.begin) or (yesterday in self.days and clock <= self.until)


class Limits(_Part):
    """Where the agent stops by itself and a person goes on."""

    failures_per_hour: int = Field(3, ge=1)
    hosts_per_cause_per_hour: int = Field(5, ge=1)


class _File(_Part):
    rules: list[dict[str, Any]] | None = None
    freeze: tuple[Freeze, ...] = ()
    shadow: tuple[str, ...] = ()
    limits: Limits = Limits()


class Known(NamedTuple):
    """The names that a policy may speak of. A wrong one never fits, so that what it forbids would not be forbidden."""

    tools: Collection[str]
    causes: Collection[str]
    runbooks: Collection[str]
    labels: Collection[str]


class Policy:
    """Ordered rules, and above them read-only mode, frozen windows and shadow mode."""

    def __init__(
        self,
        rules: tuple[tuple[Verdict, Fit], ...] | None = None,
        read_only: bool = False,
        freeze: tuple[Freeze, ...] = (),
        shadow: tuple[str, ...] = (),
        limits: Limits | None = None,
        known: Known | None = None,
    ) -> None:
        self.rules = STRICT if rules is None else rules
        self.read_only = read_only
        self.freeze = freeze
        self.shadow = frozenset(shadow)
        self.limits = limits or Limits()
        self.known = known

    def review(self, plan: Plan, place: Place) -> Ruling:
        """The strictest verdict over everything that the plan may do; as many persons as the most demanding rule."""
        subjects = _subjects(plan, place)
        if not subjects:
            return Ruling(verdict="allow", rule="nothing is changed", reason="the plan only looks")
        forbidden = self.forbids(plan)
        if forbidden is not None:
            return forbidden
        rulings = [self._judge(subject, place) for subject in subjects]
        strictest = max(rulings, key=lambda ruling: _STRICTNESS[ruling.verdict])
        return strictest.model_copy(update={"persons": max(ruling.persons for ruling in rulings)})

    def withdrawn(self, plan: Plan, place: Place, ruling: Ruling, approval: Approval) -> Ruling | None:
        """What stands against a granted approval when it comes to acting: it expired, or policy is stricter by now."""
        if not approval.granted:
            return None
        if approval.expires is not None and approval.expires <= now():
            return Ruling(verdict="deny", rule="approval expired", reason="the approval expired before it was used")
        today = self.review(plan, place)
        if (_STRICTNESS[today.verdict], today.persons) > (_STRICTNESS[ruling.verdict], ruling.persons):
            return Ruling(verdict="deny", rule="policy changed", reason=f"policy has changed since: {today.reason}")
        return None

    def forbids(self, plan: Plan, at: datetime | None = None) -> Ruling | None:
        """What stands above all rules, looked at when the plan is made and again immediately before it is executed."""
        if self.read_only:
            reason = "nothing may be changed in read-only mode"
            return Ruling(verdict="deny", rule="read-only mode", reason=reason)
        if plan.runbook in self.shadow:
            reason = f"runbook {plan.runbook} is in shadow mode: it plans and never acts"
            return Ruling(verdict="deny", rule="shadow mode", reason=reason)
        if any(window.holds(at or now()) for window in self.freeze):
            return Ruling(verdict="deny", rule="freeze", reason="nothing is changed in this window of time")
        return None

    def _judge(self, subject: dict[str, Any], place: Place) -> Ruling:
        what = f"{subject['tool']} ({subject['effect']})"
        for number, (verdict, fit) in enumerate(self.rules, 1):
            if fit.fits(subject, place.labels):
                conditions = _words(fit)
                reason = f"{what}: {_WORDS[verdict]}"
                persons = fit.persons if verdict == "ask" else 1
                return Ruling(verdict=verdict, rule=f"{number}: {verdict} {conditions}", reason=reason, persons=persons)
        return Ruling(verdict="deny", rule="default", reason=f"{what}: no rule allows it")


STRICT: tuple[tuple[Verdict, Fit], ...] = (
    ("ask", Fit(effect=("change",))),
    ("ask", Fit(effect=("destroy",))),
)
"""The default: looking is allowed, changes and destruction are asked, the rest is denied."""


def load(path: str | Path | None, read_only: bool = False, known: Known | None = None) -> Policy:
    """Policy from a YAML file; the strict default without one. Errors name the file, the rule and the field.

    With `known`, a tool, cause or runbook that there is not is an error; labels that no inventory has are warned of.
    """
    if path is None:
        return Policy(read_only=read_only, known=known)
    from devops_agent.yamlfile import read, wrong

    data = read(Path(path))
    if not isinstance(data, list | dict):
        raise ConfigError(f"{path}: a policy is a list of rules such as `- {{ask: {{effect: change}}}}`")
    try:
        file = _File.model_validate({"rules": data} if isinstance(data, list) else data)
        for window in file.freeze:
            ZoneInfo(window.zone)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {wrong(first, _File)}") from None
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"{path}: freeze: no such time zone") from None
    rules = None if file.rules is None else tuple(_rule(path, number, one) for number, one in enumerate(file.rules, 1))
    if known is not None:
        _require_known(path, rules or (), file.shadow, known)
    return Policy(rules, read_only, file.freeze, file.shadow, file.limits, known)


def _require_known(
    path: str | Path, rules: tuple[tuple[Verdict, Fit], ...], shadow: tuple[str, ...], known: Known
) -> None:
    for number, (verdict, fit) in enumerate(rules, 1):
        where = f"{path}: rule {number}: {verdict}"
        _require(f"{where}.tool", "tool", fit.tool or (), known.tools)
        _require(f"{where}.cause", "cause", fit.cause or (), known.causes)
        for label in sorted(set(fit.labels) - set(known.labels)):
            log.warning("%s.labels: no inventory has the label %r: this rule never fits", where, label)
    _require(f"{path}: shadow", "runbook", shadow, known.runbooks)


def _require(where: str, kind: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, 3))
            raise ConfigError(f"{where}: no {kind} {name!r}" + (f" (perhaps {near})" if near else ""))


def _rule(path: str | Path, number: int, entry: Any) -> tuple[Verdict, Fit]:
    if not isinstance(entry, dict) or len(entry) != 1 or (verdict := next(iter(entry))) not in _VERDICTS:
        raise ConfigError(f"{path}: rule {number}: must be one of allow, ask, deny with what it fits on")
    from devops_agent.yamlfile import wrong

    try:
        return verdict, Fit.model_validate(entry[verdict] or {})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: rule {number}: {verdict}.{field}: {wrong(first, Fit)}") from None


def _words(fit: Fit) -> str:
    """A rule's conditions as one would write them: `{effect: destroy, persons: 2}`."""
    given = fit.model_dump(exclude_defaults=True, mode="json")
    said = {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in given.items()}
    return _flow(said)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_flow(one)}' for name, one in value.items())}}}"
    return f"[{', '.join(map(_flow, value))}]" if isinstance(value, list) else str(value)


def _subjects(plan: Plan, place: Place) -> list[dict[str, Any]]:
    """Everything in a plan that has an effect. Undo only takes back an approved change, so it shares its verdict."""
    common = {"cause": plan.cause, "place": place.name}
    return [
        {"tool": action.tool, "effect": action.effect, "host": action.host, **common}
        for action in plan.actions
        if action.effect != "read" and not (action.already and not action.commands)
    ]
