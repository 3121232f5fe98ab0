"""What is configured of hooks and targets: `[hooks.NAME]` and `[notify.NAME]` of the settings file, field by field.

A secret is written as `env:NAME` (a variable), `file:PATH` (a file's content), or, worst, as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from devops_agent.config import environment
from devops_agent.errors import ConfigError
from devops_agent.tools.outward import is_metadata
from devops_agent.yamlfile import wrong

Kind = Literal["alertmanager", "grafana", "github", "gitlab", "jenkins", "pagerduty", "sentry", "generic"]
Auth = Literal["signature", "bearer", "token", "url"]
Event = Literal["approval", "resolved", "needs_person", "unresolved", "planned", "no_failure", "error"]

APIS = {"github": "https://api.github.com", "gitlab": "https://gitlab.com"}
STORAGE = {
    "https://api.github.com": (".blob.core.windows.net", ".actions.githubusercontent.com"),
    "https://gitlab.com": ("storage.googleapis.com",),
}
"""Where the logs of the public services lie, which their answers redirect to; the token is never sent there."""
_AUTH: dict[str, Auth] = {
    "alertmanager": "bearer",
    "grafana": "signature",
    "github": "signature",
    "gitlab": "token",
    "jenkins": "bearer",
    "pagerduty": "signature",
    "sentry": "signature",
    "generic": "bearer",
}
_ALLOWED: dict[str, frozenset[str]] = {
    "alertmanager": frozenset({"bearer", "url"}),
    "grafana": frozenset({"signature", "bearer", "url"}),
    "github": frozenset({"signature"}),
    "gitlab": frozenset({"token", "signature"}),
    "jenkins": frozenset({"bearer", "url"}),
    "pagerduty": frozenset({"signature"}),
    "sentry": frozenset({"signature"}),
    "generic": frozenset({"bearer", "signature", "url"}),
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SHORTEST = 12
"""Characters of a secret; fewer can be guessed."""


class Mapped(BaseModel):
    """`generic`: where in the JSON each field stands, as JSON pointers (`/alert/title`).

    With `each` the pointer leads to a list, and the others start at each of its items. `firing` and `resolved` are the
    values of `status` that open and close; without `status` everything opens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    each: str | None = None
    title: str
    log: str | None = None
    key: str | None = None
    status: str | None = None
    firing: tuple[str, ...] = ("firing", "triggered", "failed", "failure", "error", "open")
    resolved: tuple[str, ...] = ("resolved", "ok", "success", "closed")
    at: str | None = None
    labels: dict[str, str] = {}
    delivery: str | None = None

    @field_validator("each", "title", "log", "key", "status", "at", "delivery")
    @classmethod
    def _pointer(cls, value: str | None) -> str | None:
        if value and not value.startswith("/"):
            raise ValueError("expected a JSON pointer such as /alert/title")
        return value


class Hook(BaseModel):
    """One webhook that is taken in at `POST /hooks/<name>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    kind: Kind
    secret: tuple[SecretStr, ...] = Field(
        min_length=1, description="what its sender proves itself with; two while changing"
    )
    auth: Auth | None = Field(None, description="how: signature, bearer (or Basic), token (a header), url (?token=)")
    username: str | None = Field(None, description="bearer: the user of Basic authentication, if one is sent")
    signature_header: str | None = Field(None, description="grafana: the header it was told to sign in")
    timestamp_header: str | None = Field(None, description="grafana: the header with the time that is signed too")
    place: str | None = Field(None, description="the place (inventory) that its failures belong to")
    place_label: str | None = Field(None, description="or the label of an alert that names the place")
    labels: dict[str, str] = Field({}, description="labels added to every incident")
    api: str | None = Field(None, description="github, gitlab, jenkins: base address of its API")
    token: SecretStr | None = Field(None, description="github, gitlab, jenkins: what logs are fetched with")
    user: str | None = Field(None, description="jenkins: the user that the token belongs to")
    storage_hosts: tuple[str, ...] = Field((), description="hosts to which its API may redirect for a log")
    log_bytes: int = Field(16 << 20, ge=1024, description="most bytes of a fetched log that are kept (its end)")
    map: Mapped | None = Field(None, description="generic: where the fields stand")

    @field_validator("secret", mode="before")
    @classmethod
    def _secrets(cls, value: Any) -> Any:
        many = value if isinstance(value, list | tuple) else [value]
        return tuple(resolved(each) for each in many)

    @field_validator("token", mode="before")
    @classmethod
    def _token(cls, value: Any) -> Any:
        return resolved(value)

    @field_validator("api")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return address(value) if value else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.auth is not None and self.auth not in _ALLOWED[self.kind]:
            raise ValueError(f"auth: {self.kind} takes {' or '.join(sorted(_ALLOWED[self.kind]))}")
        if any(len(each.get_secret_value()) < SHORTEST for each in self.secret):
            raise ValueError(f"secret: too short (at least {SHORTEST} characters)")
        if self.kind == "generic" and self.map is None:
            raise ValueError("map: missing; expected where the fields stand")
        if self.kind == "jenkins" and self.api is None:
            raise ValueError("api: missing; expected the address of Jenkins")
        return self

    @property
    def way(self) -> Auth:
        """How its sender proves itself."""
        return self.auth or _AUTH[self.kind]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that are valid now."""
        return tuple(each.get_secret_value() for each in self.secret)

    @property
    def base(self) -> str:
        """Base address of its API, without a slash at the end."""
        return (self.api or APIS.get(self.kind, "")).rstrip("/")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts to which its API may redirect for a log; one that begins with a dot stands for all below it."""
        return self.storage_hosts or STORAGE.get(self.base, ())


class Target(BaseModel):
    """One place where answers go.

    `approver` is the one person who reads there: that person gets links that approve, under that name. Without one,
    messages lead to the page, where one has to say (or prove) who one is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    kind: Literal["apprise", "webhook", "github", "gitlab"]
    url: SecretStr | None = Field(None, description="apprise: its URL; webhook: the address that is posted to")
    secret: SecretStr | None = Field(None, description="webhook: what the body is signed with (whsec_… or any text)")
    hook: str | None = Field(None, description="github, gitlab: the hook whose changes are commented on")
    token: SecretStr | None = Field(
        None, description="github, gitlab: what comments are written with; default: the hook's"
    )
    approver: str | None = Field(None, description="the person who reads there, who may approve by link")
    on: tuple[Event, ...] | None = Field(None, description="what is told; default: all but no_failure")
    places: tuple[str, ...] = Field((), description="only incidents of these places; default: all")
    sources: tuple[str, ...] = Field(("webhook", "http", "watch"), description="only incidents that came in so")

    @field_validator("url", "secret", "token", mode="before")
    @classmethod
    def _resolved(cls, value: Any) -> Any:
        return resolved(value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind in ("apprise", "webhook") and self.url is None:
            raise ValueError("url: missing")
        if self.kind == "webhook":
            if self.secret is None or len(self.secret.get_secret_value()) < SHORTEST:
                raise ValueError(f"secret: missing or too short (at least {SHORTEST} characters)")
            address(self.url.get_secret_value() if self.url else "")
        if self.kind in ("github", "gitlab") and self.hook is None:
            raise ValueError("hook: missing; expected the name of the hook whose changes are commented on")
        if self.kind in ("github", "gitlab") and self.approver is not None:
            raise ValueError("approver: a comment is read by many; links that approve go to one person")
        return self

    def tells(self, event: str) -> bool:
        """Whether this event is told here."""
        return event in self.on if self.on is not None else event != "no_failure"


class Connections(BaseModel):
    """All hooks and targets."""

    model_config = ConfigDict(frozen=True)

    hooks: dict[str, Hook] = {}
    targets: dict[str, Target] = {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every configured secret: none of them may stand in a message."""
        found: list[str] = []
        for hook in self.hooks.values():
            found += [*hook.secrets, hook.token.get_secret_value() if hook.token else ""]
        for target in self.targets.values():
            found += [each.get_secret_value() for each in (target.secret, target.token) if each]
            found += _in_address(target.url.get_secret_value()) if target.url else []
        return tuple(sorted(filter(None, found), key=len, reverse=True))


def read(hooks: Mapping[str, Any], notify: Mapping[str, Any]) -> Connections:
    """Check what the settings say; ConfigError names the entry and its field."""
    made = Connections(
        hooks={name: _entry("hooks", name, Hook, entry) for name, entry in hooks.items()},
        targets={name: _entry("notify", name, Target, entry) for name, entry in notify.items()},
    )
    for name, target in made.targets.items():
        of = made.hooks.get(target.hook or "")
        if target.hook is not None and (of is None or of.kind != target.kind):
            raise ConfigError(f"notify.{name}.hook: no {target.kind} hook of this name")
        if target.hook is not None and of is not None and not (target.token or of.token):
            raise ConfigError(f"notify.{name}.token: missing, and the hook {target.hook} has none either")
    return made


def resolved(value: Any) -> Any:
    """The secret behind `env:NAME` or `file:PATH`; anything else is taken as it is."""
    if not isinstance(value, str):
        return value
    how, colon, where = value.partition(":")
    if colon and how == "env":
        found = environment().get(where, "").strip()
        if not found:
            raise ValueError(f"the variable {where} is not set")
        return found
    if colon and how == "file":
        try:
            return Path(where).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{where} cannot be read ({getattr(error, 'strerror', None) or 'no text'})") from None
    return value


def address(value: str) -> str:
    """An http(s) address of a host, without user and password; ValueError says what is wrong."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as https://host/path")
    if parts.username or parts.password:
        raise ValueError("name and password do not belong into an address")
    if is_metadata(parts.hostname):
        raise ValueError("a metadata service or a link-local address is never asked")
    return value.rstrip("/")


def _in_address(value: str) -> list[str]:
    """What is secret in an address: all of it, its user and password, and whatever in it looks like a token."""
    try:
        parts = urlsplit(value)
        told = parts.hostname or ""
    except ValueError:
        return [value]
    pieces = re.split(r"[/?&=:@]+", value.partition("://")[2])
    tokens = [each for each in pieces if len(each) > 19 or (len(each) > 7 and any(map(str.isdigit, each)))]
    named = [each for each in (parts.username, parts.password) if each and len(each) > 5]
    return [value, *(each for each in (*tokens, *named) if each.lower() != told)]


def _entry(section: str, name: str, kind: type[Any], entry: Any) -> Any:
    where = f"{section}.{name}"
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name has small letters, digits, - and _")
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: expected a table with at least `kind`")
    try:
        return kind.model_validate({**entry, "name": name})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(each) for each in first["loc"])
        raise ConfigError(
            f"{where}{'.' if field else ': '}{field}{': ' if field else ''}{wrong(first, kind)}"
        ) from None
