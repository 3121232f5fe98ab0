"""What a tool is: a function with a signature and a docstring, marked as a probe or as a change.

    @probe
    def tcp_check(host: Host, port: int, address: str = "127.0.0.1") -> dict[str, Any]: ...

    @change(effect="destroy")
    def free_port(port: int, *, pid: int, started: int, command: str) -> Iterator[Command]:
        yield End(pid=pid, started=started, command=command)

    @free_port.pin
    def _holder(host, place, port) -> dict[str, Any]:         # what was seen; becomes the keyword-only arguments
    @free_port.already
    def _free(host, port) -> bool:                            # is the wanted *state* there?
    @free_port.precondition
    def _is_ours(host, place, port, pid) -> None:             # raises NotAllowed or StalePlan
    @free_port.undo
    def _back(port, pid) -> Iterator[Command]:

A parameter named `host` gets the host door, one named `place` the inventory; everything else comes from the caller and
is checked against the annotations. A guard names only those parameters that it needs. Keyword-only parameters are
*pinned*: seen by `pin` when the plan is made, shown and approved with it, never given by a planner. A change yields
commands and runs none: preview, dry run, approval and execution are the same function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, overload

from devops_agent.errors import BadArguments
from devops_agent.model import Command, Effect

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
_GIVEN = ("host", "place")


class Completed(Protocol):
    """A command that has ended."""

    @property
    def argv(self) -> tuple[str, ...]: ...
    @property
    def code(self) -> int: ...
    @property
    def output(self) -> str: ...
    @property
    def errors(self) -> str: ...
    @property
    def text(self) -> str: ...


class Host(Protocol):
    """The door to one machine. Argument lists only; every call has a time limit and an output cap.

    `run` returns standard output and raises CommandFailed on a status that is not in `ok`; `attempt` returns whatever
    happened. Both raise HostUnreachable and CommandTimedOut (after which no process of the command is left; only where
    the host is not `local` it may still be running).

    Files: `read` raises CommandFailed where there is nothing to read; `read_many` reads the starts of small files at
    once and leaves out what cannot be read; `write` is atomic and keeps owner and mode of what was there; `stat`
    follows links and is None for nothing. `start` begins a process that stays; `signal` says whether there was one to
    get it; `lineage` is a process with its parents up to the first; `holders` are the processes that have one of
    these targets open (`socket:[123]`, a file). `close` lets go of what is held between commands (a connection).
    """

    name: str
    local: bool

    def run(self, *argv: str, timeout: float = 30, cwd: str | None = None, ok: tuple[int, ...] = (0,)) -> str: ...
    def attempt(
        self, *argv: str, timeout: float = 30, cwd: str | None = None, stdin: str | None = None, user: str | None = None
    ) -> Completed: ...
    def has(self, program: str) -> bool: ...
    def read(self, path: str, limit: int = 1 << 20) -> bytes: ...
    def read_many(self, *paths: str, limit: int = 8192) -> dict[str, bytes]: ...
    def read_tail(self, path: str, limit: int = 1 << 20) -> bytes: ...
    def write(self, path: str, content: bytes, mode: int | None = None, owner: str | None = None) -> None: ...
    def exists(self, path: str) -> bool: ...
    def stat(self, path: str) -> FileFacts | None: ...
    def folder(self, path: str) -> list[str]: ...
    def resolve(self, path: str) -> str: ...
    def remove(self, path: str) -> None: ...
    def start(self, *argv: str, cwd: str | None = None, user: str | None = None) -> int | None: ...
    def signal(self, pid: int, name: str) -> bool: ...
    def lineage(self, pid: int) -> list[int]: ...
    def holders(self, *targets: str) -> dict[str, tuple[int, ...]]: ...
    def close(self) -> None: ...


class FileFacts(NamedTuple):
    """What a file is. `kind`: file, folder, link (dangling), socket, pipe, device. `modified` in seconds since 1970."""

    kind: str
    size: int
    mode: int
    owner: str
    group: str
    modified: float
    inode: int
    device: int


class Tool:
    """A registered tool. Only the toolbox calls `function`: it checks arguments and hands over host and place."""

    def __init__(
        self,
        function: Function,
        kind: Literal["probe", "change"],
        effect: Effect,
        repeatable: bool,
        needs: tuple[str, ...],
        outward: tuple[str, ...] = (),
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.kind = kind
        self.effect: Effect = effect
        self.repeatable = repeatable
        self.needs = needs
        self.outward = outward
        self.guards: dict[str, Function] = {}
        self.__doc__ = function.__doc__

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n\n")[0].replace("\n", " ")

    @cached_property
    def signature(self) -> inspect.Signature:
        """With resolved annotations."""
        return inspect.signature(self.function, eval_str=True)

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What the caller gives: all but host, place and the pinned ones."""
        own = self.signature.parameters.items()
        return {n: p for n, p in own if n not in _GIVEN and p.kind is not inspect.Parameter.KEYWORD_ONLY}

    @cached_property
    def pinned(self) -> frozenset[str]:
        """Names of the keyword-only parameters."""
        own = self.signature.parameters.items()
        return frozenset(n for n, p in own if p.kind is inspect.Parameter.KEYWORD_ONLY)

    @cached_property
    def _model(self) -> Any:
        from pydantic import ConfigDict, create_model

        fields: dict[str, Any] = {
            name: (p.annotation, ... if p.default is inspect.Parameter.empty else p.default)
            for name, p in self.parameters.items()
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid", coerce_numbers_to_str=True), **fields)

    def check(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments in the types of the signature; raises BadArguments that names the parameter."""
        from pydantic import ValidationError

        try:
            model = self._model.model_validate(args)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "arguments"
            raise BadArguments(f"{self.name}: {field}: {first['msg']}") from None
        return {name: getattr(model, name) for name in type(model).model_fields if name in model.model_fields_set}

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        schema: dict[str, Any] = self._model.model_json_schema()
        schema.pop("title", None)
        return schema

    def call(self, values: dict[str, Any]) -> Any:
        """Call the function with those of `values` that it names."""
        return _called(self.function, values)

    def ask(self, guard: str, values: dict[str, Any]) -> Any:
        """Call a guard with those of `values` that it names; None where the tool has no such guard."""
        return _called(self.guards[guard], values) if guard in self.guards else None

    def _guard(self, name: str) -> Callable[[F], F]:
        def mark(function: F) -> F:
            self.guards[name] = function
            return function

        return mark

    def pin(self, function: F) -> F:
        """Mark what looks at the machine when the plan is made; its dict becomes the keyword-only arguments."""
        return self._guard("pin")(function)

    def already(self, function: F) -> F:
        """Mark the test for the wanted state; where it is true nothing is done."""
        return self._guard("already")(function)

    def precondition(self, function: F) -> F:
        """Mark what refuses (raises NotAllowed, StalePlan) at preview and again immediately before execution."""
        return self._guard("precondition")(function)

    def before_undo(self, function: F) -> F:
        """Mark what refuses (raises NotAllowed, StalePlan) to take the change back where it is not ours any more."""
        return self._guard("before_undo")(function)

    def undo(self, function: F) -> F:
        """Mark the generator of commands that take the change back. Edits are undone without one."""
        return self._guard("undo")(function)


def _called(function: Function, values: dict[str, Any]) -> Any:
    return function(**{name: values[name] for name in inspect.signature(function).parameters if name in values})


@overload
def probe(function: Function) -> Tool: ...
@overload
def probe(*, needs: tuple[str, ...] = (), outward: tuple[str, ...] = ()) -> Callable[[Function], Tool]: ...
def probe(
    function: Function | None = None, *, needs: tuple[str, ...] = (), outward: tuple[str, ...] = ()
) -> Tool | Callable[[Function], Tool]:
    """Mark a function that looks and changes nothing. `needs`: programs without which it is not offered; `outward`:
    parameters that leave the machine (`tools.outward`)."""
    if function is not None:
        return Tool(function, "probe", "read", True, needs)
    return lambda f: Tool(f, "probe", "read", True, needs, outward)


def change(*, effect: Effect, repeatable: bool = False, needs: tuple[str, ...] = ()) -> Callable[[Function], Tool]:
    """Mark a generator of commands. `repeatable`: doing it twice has the effect of doing it once."""
    return lambda f: Tool(f, "change", effect, repeatable, needs)


Commands = Iterator[Command]
