"""The toolbox: the only way from the pipeline to tools. It checks arguments, picks the host, previews, applies, undoes.

A failed tool is a value here: `apply` and `revert` return an Outcome, `evaluate` a CheckResult. Only `probe` and
`preview` raise ToolError.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

from devops_agent import condition
from devops_agent.errors import AgentError, BadArguments, CommandTimedOut, ConfigError, NotAllowed, NotFound, ToolError
from devops_agent.inventory import HostSpec, Place, Prefix
from devops_agent.model import Action, Call, Check, CheckResult, Command, Health, Outcome, Step, Wait
from devops_agent.tools import checks, registry
from devops_agent.tools.aloud import aloud
from devops_agent.tools.base import Host, Tool
from devops_agent.tools.commands import Bench, foreseen, perform, restores
from devops_agent.tools.foreign import ForeignTool
from devops_agent.tools.hosts import connect
from devops_agent.tools.outward import Outward

COPIES = "copies"
_OUTPUT = 16_000


class Toolbox:
    """Tools at one place. `redact` masks secrets in everything that comes back from a host; `outward` keeps probes from
    asking for what a planner made up on the network (None: they may ask for anything)."""

    def __init__(
        self,
        place: Place,
        data_dir: Path,
        tools: Mapping[str, Tool] | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.place = place
        self.data_dir = data_dir
        self._tools = dict(registry.tools() if tools is None else tools)
        self._redact = redact
        self.outward: Outward | None = None
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()

    @property
    def tools(self) -> dict[str, Tool]:
        """All tools by name."""
        return self._tools

    def probe(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """What a probe sees; raises ToolError (also for a name or arguments that do not fit)."""
        tool = self._tool(name)
        if tool.kind != "probe":
            raise BadArguments(f"{name} is a change, not a probe")
        checked = tool.check(dict(args))
        host = self.host(checked)
        self._needs(tool, host)
        outward = self.outward
        if outward is not None:
            self._guarded(lambda: outward.require(tool.outward, checked))
        found = self._guarded(lambda: tool.call(self._values(host, checked)))
        if outward is not None and "body" in found and not outward.named(str(checked.get("url"))):
            found = {**found, "body": "", "headers": {}}  # whose address only a log names need not be told what it says
        return cast(dict[str, Any], self._clean(found))

    def has(self, program: str) -> bool:
        """Whether the place's own host has a program; of one that is not this machine it is assumed."""
        host = self._door(self.place.inventory.host)
        return not host.local or host.has(program)

    def preview(self, step: Step, number: int, earlier: Sequence[Action] = ()) -> Action:
        """The exact action for a step; runs no change. Raises ToolError where the tool refuses.

        `earlier` are the actions before it in the same plan: an edit of a file that they edit too builds on theirs.
        """
        tool = self._tool(step.tool)
        args = tool.check(dict(step.args))
        host = self.host(args)
        self._needs(tool, host)
        base = {"id": f"a{number}", "tool": tool.name, "args": _plain(args), "host": host.name, "effect": tool.effect}
        base |= {"repeatable": tool.repeatable, "when": step.when, "why": step.why}
        if tool.kind == "probe":
            return Action(**base, commands=(Wait(probe=tool.name, args=_plain(args), limit=0),))
        before = [command for action in earlier if action.host == host.name for command in action.commands]
        seen = self._guarded(lambda: foreseen(host, self.place, iter(before)))
        return self._guarded(lambda: self._planned(tool, seen, args, base))  # type: ignore[no-any-return]

    def apply(self, action: Action) -> Outcome:
        """Perform an action: nothing where the wanted state is there, else precondition, then its commands in order."""
        begun = time.monotonic()
        said: list[str] = []
        try:
            tool, host = self._tool(action.tool), self.host(action.args)
            values = self._values(host, tool.check(dict(action.args)) | action.pinned) if tool.kind == "change" else {}
            if self._guarded(lambda: tool.ask("already", values)):
                return self._outcome(action, "already", ["it is so already"], begun)
            self._guarded(lambda: tool.ask("precondition", values))
            with aloud(self.data_dir, action):
                self._perform(action.commands, host, said)
        except CommandTimedOut as error:
            return self._outcome(
                action, "failed" if self.host(action.args).local else "unknown", [*said, str(error)], begun
            )
        except AgentError as error:
            return self._outcome(action, "failed", [*said, str(error)], begun)
        return self._outcome(action, "succeeded", said, begun)

    def revert(self, action: Action) -> Outcome:
        """Take an action back; where a part of it cannot be, the others still are."""
        begun = time.monotonic()
        said: list[str] = []
        failed = False
        try:
            tool, host = self._tool(action.tool), self.host(action.args)
            if "before_undo" in tool.guards:
                values = self._values(host, tool.check(dict(action.args)) | action.pinned)
                self._guarded(lambda: tool.ask("before_undo", values))
        except AgentError as error:
            return self._outcome(action, "failed", [str(error)], begun)
        for command in action.undo:
            try:
                self._perform((command,), self.host(action.args), said)
            except AgentError as error:
                failed = True
                said.append(str(error))
        return self._outcome(action, "failed" if failed else "succeeded", said or ["nothing to undo"], begun)

    def evaluate(self, check: Check) -> CheckResult:
        """Whether all conditions on a probe's result hold; None where that cannot be told."""
        name = f"{check.probe}({', '.join(f'{key}={value}' for key, value in check.args.items())})"
        try:
            data = self.probe(check.probe, check.args)
        except AgentError as error:
            return CheckResult(name=name, passed=None, detail=self._redact(str(error)))
        held = [condition.parse(text).holds({"result": data}) for text in check.expect]
        passed = False if False in held else None if None in held else True
        return CheckResult(name=name, passed=passed, detail=_brief(data))

    def health(self) -> Health:
        """Health of all services, and all checks of the inventory that only read, at once."""
        inventory = self.place.inventory
        names = [f"health:{name}" for name, service in inventory.services.items() if service.health]
        names += [f"check:{name}" for name, check in inventory.checks.items() if check.effect == "read"]
        if not names:
            return Health()
        with ThreadPoolExecutor(max_workers=min(len(names), 8)) as pool:
            return Health(results=tuple(pool.map(self.run_check, names)))

    def run_check(self, name: str) -> CheckResult:
        """One check (`check:NAME`, or its bare name) whatever its effect, or a health check (`health:SERVICE`)."""
        kind, _, rest = name.rpartition(":")
        args = {"service" if kind == "health" else "check": rest}
        look = checks.health if kind == "health" else checks.outcome
        name = f"{kind or 'check'}:{rest}"
        try:
            seen = self._guarded(lambda: look(self.host(args), self.place, rest))
        except AgentError as error:
            return CheckResult(name=name, passed=None, detail=self._redact(str(error)))
        return CheckResult(name=name, passed=seen["passed"], detail=self._redact(str(seen["detail"]))[:2000])

    def host(self, args: Mapping[str, Any]) -> Host:
        """The door to where these arguments point: the host of their service or other entry, else the place's."""
        return self._door(self._spec(args))

    def close(self) -> None:
        """Let go of what the hosts' doors hold between commands."""
        with self._lock:
            for host in self._hosts.values():
                host.close()
            self._hosts.clear()

    def _door(self, spec: HostSpec) -> Host:
        key = json.dumps(spec.command) if isinstance(spec, Prefix) else spec
        with self._lock:
            if key not in self._hosts:
                self._hosts[key] = self._guarded(lambda: connect(spec, self.place.workspace, self.data_dir))
            return self._hosts[key]

    def _spec(self, args: Mapping[str, Any]) -> HostSpec:
        inventory = self.place.inventory
        service = args.get("service")
        if isinstance(service, str) and service:
            if service not in inventory.services:
                known = ", ".join(inventory.services) or "none"
                raise BadArguments(f"service: {service!r} is not in the inventory (known: {known})")
            return self.place.host_of(service)
        for key, entries in (
            ("check", cast(dict[str, Any], inventory.checks)),
            ("datastore", inventory.datastores),
            ("repository", inventory.repositories),
            ("environment", inventory.environments),
            ("certificate", inventory.certificates),
        ):
            entry = entries.get(str(args.get(key)))
            if entry is not None and entry.host:
                return entry.host
        file = args.get("file")
        if isinstance(file, str) and file:
            return self.place.host_of(self.place.service_with(file))
        port = args.get("port")
        owner = self.place.service_on(port) if isinstance(port, int) and not isinstance(port, bool) else None
        return self.place.host_of(owner)

    def _planned(self, tool: Tool, host: Host, args: dict[str, Any], base: dict[str, Any]) -> Action:
        pinned = tool.ask("pin", self._values(host, args)) or {}
        action = Action(**base, pinned=_plain(pinned))
        values = self._values(host, args | pinned)
        already = bool(tool.ask("already", values))
        if not already:
            tool.ask("precondition", values)
        commands = tuple(tool.call(values))
        undo = tuple(tool.ask("undo", values) or ())
        if already and not commands and not undo:
            return action.model_copy(update={"already": True})
        return action.model_copy(
            update={"commands": self._masked(commands), "undo": (*restores(commands), *undo), "already": already}
        )

    def _masked(self, commands: tuple[Command, ...]) -> tuple[Command, ...]:
        return tuple(
            command.model_copy(update={"diff": self._redact(command.diff)}) if command.kind == "edit" else command
            for command in commands
        )

    def _perform(self, commands: Sequence[Command], host: Host, said: list[str]) -> None:
        bench = Bench(host, self.place, self.data_dir / COPIES, self.evaluate, self._call)
        for command in commands:
            said.append(self._guarded(partial(perform, command, bench)))

    def _call(self, command: Call) -> str:
        tool = self._tool(f"{command.server}__{command.tool}")
        if not isinstance(tool, ForeignTool) or tool.kind != "change":
            raise NotAllowed(f"{tool.name} is not declared to be a change")
        return str(tool.ask_server(command.args)["text"])

    def _values(self, host: Host, args: Mapping[str, Any]) -> dict[str, Any]:
        return {"host": host, "place": self.place, **args}

    def _tool(self, name: str) -> Tool:
        try:
            return registry.tool(name, self._tools)
        except NotFound as error:
            raise BadArguments(str(error)) from None

    def _needs(self, tool: Tool, host: Host) -> None:
        missing = [program for program in tool.needs if not host.has(program)]
        if missing:
            raise NotAllowed(f"{tool.name}: {', '.join(missing)} is not installed on {host.name}")

    def _guarded(self, function: Callable[[], Any]) -> Any:
        """Errors of the operating system and of parsing, which a tool did not foresee, as ToolError."""
        try:
            return function()
        except (NotFound, ConfigError) as error:
            raise BadArguments(str(error)) from None
        except (OSError, ValueError, KeyError, LookupError, TypeError) as error:
            raise ToolError(f"{type(error).__name__}: {error}") from error

    def _outcome(self, action: Action, status: Any, said: Sequence[str], begun: float) -> Outcome:
        output = self._redact("\n".join(part for part in said if part)[-_OUTPUT:])
        return Outcome(action_id=action.id, status=status, output=output, seconds=round(time.monotonic() - begun, 3))

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, Mapping):
            return {str(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        return value


def _plain(value: Any) -> Any:
    """As JSON would have it, so that a kept action is equal to the one that was made."""
    return json.loads(json.dumps(value, default=str))


def _brief(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in data.items())[:2000]
