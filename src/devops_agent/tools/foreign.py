"""Tools of other MCP servers, as probes: only those that the settings allow, with time limits and capped answers.

    [mcp_servers.grafana]
    command = ["mcp-grafana"]                  # or: url = "https://…/mcp"
    env = { GRAFANA_TOKEN = "$GRAFANA_TOKEN" } # `$NAME` is taken from our environment
    probes = ["query_*", "list_dashboards"]    # what may be asked; nothing else is offered
    changes = { create_silence = "change" }    # what may be proposed as a change: always a plan, judged by policy
    timeout = 20

A tool is called `grafana__query_logs` here. One that a pattern allows, and that says of itself that it does not only
read, is left out; its own name in the list takes it.
"""

from __future__ import annotations

import fnmatch
import inspect
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from devops_agent.command import Call
from devops_agent.errors import BadArguments, ConfigError, ToolError
from devops_agent.model import Effect
from devops_agent.tools.base import Tool
from devops_agent.tools.sessions import Answer, Session

log = logging.getLogger("devops_agent.mcp")
MOST = 64_000
"""Characters of an answer that are kept."""
_OUTWARD = re.compile(r"^(url|uri|link|host|hostname|server|address|domain|endpoint)$|_(url|uri|host|domain)$", re.I)
_EFFECTS = ("change", "destroy")


def _words(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else value


class Server(BaseModel):
    """One server of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    url: str = ""
    env: dict[str, str] = {}
    headers: dict[str, str] = {}
    probes: tuple[str, ...] = ()
    changes: dict[str, Effect] = {}
    timeout: float = Field(20.0, gt=0, le=600)
    start_timeout: float = Field(30.0, gt=0, le=600)

    @model_validator(mode="after")
    def _one_way(self) -> Server:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either `command` or `url`")
        if any(effect not in _EFFECTS for effect in self.changes.values()):
            raise ValueError("changes: the effect of a change is `change` or `destroy`")
        return self


class ForeignTool(Tool):
    """A tool of another server: its arguments are judged by its own schema, its answers are data."""

    def __init__(self, session: Session, theirs: str, told: Mapping[str, Any], effect: Effect) -> None:
        kind = "probe" if effect == "read" else "change"
        super().__init__(self.ask_server, "probe" if kind == "probe" else "change", effect, False, ())
        self.session = session
        self.theirs = theirs
        self.name = f"{session.name}__{theirs}"
        self._schema = _plain_schema(told.get("schema") or {})
        self._said = " ".join(str(told.get("description") or theirs).split())[:400]
        self.__doc__ = self._said
        self.outward = tuple(name for name in self._schema["properties"] if _OUTWARD.search(name))

    @property
    def summary(self) -> str:
        """What the server says that it does, in a sentence, and whose it is."""
        first = re.split(r"(?<=[.!?])\s", self._said, maxsplit=1)[0]
        return f"{first} (tool of the MCP server {self.session.name})"

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The arguments of its schema."""
        needed = set(self._schema.get("required", ()))
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        empty = inspect.Parameter.empty
        return {
            name: inspect.Parameter(name, kind, default=empty if name in needed else None, annotation=Any)
            for name in self._schema["properties"]
        }

    @cached_property
    def pinned(self) -> frozenset[str]:
        """Nothing: what such a tool works on cannot be looked at beforehand."""
        return frozenset()

    def check(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments, if they fit its schema; raises BadArguments."""
        import jsonschema  # type: ignore[import-untyped]

        if extra := set(args) - set(self._schema["properties"]):
            raise BadArguments(f"{self.name}: {', '.join(sorted(extra))}: there is no such argument")
        try:
            jsonschema.validate(args, self._schema)
        except jsonschema.ValidationError as error:
            field = ".".join(map(str, error.absolute_path)) or "arguments"
            raise BadArguments(f"{self.name}: {field}: {error.message[:300]}") from None
        except jsonschema.SchemaError:
            raise BadArguments(f"{self.name}: the server's schema cannot be read") from None
        return dict(args)

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        return self._schema

    def call(self, values: dict[str, Any]) -> Any:
        """Ask the server; of a change, the command that will."""
        args = {name: values[name] for name in self.parameters if name in values}
        if self.kind == "probe":
            return self.ask_server(args)
        return iter((Call(server=self.session.name, tool=self.theirs, args=args),))

    def ask_server(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """What the server answers, now. Raises ToolError."""
        return said(self.session.call(self.theirs, args), self.name)


def said(answer: Answer, name: str) -> dict[str, Any]:
    """An answer as a probe's facts; raises ToolError where the server says that it failed."""
    text = answer.text if len(answer.text) <= MOST else f"{answer.text[:MOST]} [… {len(answer.text) - MOST} more]"
    if answer.failed:
        raise ToolError(f"{name}: {text[:500] or 'it failed'}")
    facts: dict[str, Any] = {"text": text, "truncated": len(answer.text) > MOST}
    if answer.data not in (None, {"result": answer.text}) and len(json.dumps(answer.data, default=str)) <= MOST:
        facts["data"] = answer.data
    return facts


def servers(tables: Mapping[str, Any]) -> dict[str, Server]:
    """The servers of the settings. Raises ConfigError that names server and field."""
    found = {}
    for name, table in tables.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name) or "__" in name:
            raise ConfigError(f"mcp_servers.{name}: a name has small letters, digits and _")
        try:
            found[name] = Server.model_validate(table)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"mcp_servers.{name}{'.' if where else ''}{where}: {first['msg']}") from None
    return found


def tools(tables: Mapping[str, Any]) -> dict[str, Tool]:
    """What all configured servers offer and the settings allow. A server that does not answer offers nothing, and the
    log says so; the agent works without it."""
    found: dict[str, Tool] = {}
    for name, server in servers(tables).items():
        session = Session(name, server.command, server.url, _filled(name, server.env), _filled(name, server.headers))
        session.timeout, session.start_timeout = server.timeout, server.start_timeout
        try:
            offered = session.tools()
        except ToolError as error:
            log.warning("mcp_servers.%s: %s", name, error)
            continue
        for tool in _allowed(server, session, offered):
            found[tool.name] = tool
        missing = [each for each in (*server.probes, *server.changes) if not _named(each, offered)]
        if missing:
            log.warning("mcp_servers.%s: it has no tool %s", name, ", ".join(missing))
    return found


def _allowed(server: Server, session: Session, offered: Mapping[str, Mapping[str, Any]]) -> Iterator[Tool]:
    for theirs, told in offered.items():
        names = (told.get("schema") or {}).get("properties") or {}
        if not re.fullmatch(r"[A-Za-z][\w-]{0,60}", theirs) or not all(str(each).isidentifier() for each in names):
            continue
        if theirs in server.changes:
            yield ForeignTool(session, theirs, told, server.changes[theirs])
        elif theirs in server.probes or (
            told.get("reads") is not False and any(fnmatch.fnmatchcase(theirs, form) for form in server.probes)
        ):
            yield ForeignTool(session, theirs, told, "read")


def _named(form: str, offered: Mapping[str, Any]) -> bool:
    return any(fnmatch.fnmatchcase(theirs, form) for theirs in offered)


def _filled(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """Values with `$NAME` replaced from our environment. Raises ConfigError for one that is not set."""
    missing = [each for each in values.values() if each.startswith("$") and each[1:] not in os.environ]
    if missing:
        raise ConfigError(f"mcp_servers.{name}: {missing[0]} is not set in the environment")
    return {key: os.environ[each[1:]] if each.startswith("$") else each for key, each in values.items()}


def _plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object's schema without what only a person would read."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "$schema")}
    return {**kept, "type": "object", "properties": dict(schema.get("properties") or {})}
