"""Sessions with other MCP servers: opened when first needed, on one thread; a server that hangs is ended and forgotten.

A server that we start gets a short environment of its own, never our keys; its process group is ended with the session.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError as Cancelled
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from typing import Any, TypeVar

from devops_agent.errors import ConfigError, ToolError

T = TypeVar("T")
_ENDING = 8.0
_PAGES = 20


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    text: str
    data: Any = None
    failed: bool = False


class Session:
    """A server and, while it is needed, the connection to it. Safe to use from many threads."""

    timeout = 20.0
    start_timeout = 30.0

    def __init__(
        self, name: str, command: Sequence[str], url: str, env: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = tuple(command)
        self._url = url
        self._env = dict(env)
        self._headers = dict(headers)
        self._lock = threading.Lock()
        self._open: _Open | None = None
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def tools(self) -> dict[str, dict[str, Any]]:
        """What it offers: description, schema, and whether it says that it only reads. The connection is closed
        again, since nobody may ever ask. Raises ToolError."""
        try:
            return self._run(_listed, self.start_timeout)
        finally:
            self.close()

    def call(self, tool: str, args: Mapping[str, Any]) -> Answer:
        """Ask one tool. Raises ToolError where no answer comes in time; the server is then started anew next time."""

        async def ask(client: Any) -> Answer:
            return _answer(await client.call_tool(tool, dict(args)))

        return self._run(ask, self.timeout)

    def close(self) -> None:
        """End the connection, and the server where we started it."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened.end()

    def _run(self, work: Callable[[Any], Coroutine[Any, Any, T]], timeout: float) -> T:
        with self._lock:
            if self._open is None or not self._open.alive:
                self._open = _Open(self._transport(), self.name, self.start_timeout)
            opened = self._open
        try:
            return opened.run(work, timeout)
        except ToolError:
            self.close()
            raise

    def _transport(self) -> Any:
        try:
            from mcp import StdioServerParameters
            from mcp.client.stdio import stdio_client
            from mcp.client.streamable_http import streamable_http_client
        except ImportError:
            raise ConfigError("tools of MCP servers need more packages: pip install 'devops-agent[mcp]'") from None
        if self._url:
            import httpx2

            plain = httpx2.AsyncClient(headers=self._headers, trust_env=False, timeout=self.timeout + 5)
            return lambda: streamable_http_client(self._url, http_client=plain)
        first, *rest = self._command
        parameters = StdioServerParameters(command=first, args=rest, env=self._env)
        silent = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
        return lambda: stdio_client(parameters, errlog=silent)

    def _forget(self) -> None:
        """In a child of a fork: the parent's connection is not ours."""
        self._lock = threading.Lock()
        self._open = None


class _Open:
    """A connection that lives on a thread of its own, with an event loop of its own."""

    def __init__(self, transport: Any, name: str, start_timeout: float) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._client: Any = None
        self._failure = ""
        self._thread = threading.Thread(target=self._live, args=(transport,), name=f"mcp-{name}", daemon=True)
        self._thread.start()
        if not self._ready.wait(start_timeout) or self._client is None:
            self.end()
            raise ToolError(
                f"the MCP server {name} cannot be used: {self._failure or f'no answer in {start_timeout:g} s'}"
            )

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._thread.is_alive() and self._client is not None

    def run(self, work: Callable[[Any], Coroutine[Any, Any, T]], timeout: float) -> T:
        """What the coroutine function makes of the client. Raises ToolError."""
        future = asyncio.run_coroutine_threadsafe(_within(work(self._client), timeout), self._loop)
        try:
            failure = future.exception(timeout + 5)
        except (Late, Cancelled):
            future.cancel()
            failure = TimeoutError()
        if isinstance(failure, TimeoutError):
            raise ToolError(f"the MCP server {self._name} gave no answer within {timeout:g} s")
        if failure is not None:
            raise ToolError(f"the MCP server {self._name}: {_innermost(failure)}")
        return future.result()

    def end(self) -> None:
        """Close it; a server of ours has some seconds to end by itself."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_ENDING)

    def _live(self, transport: Any) -> None:
        task = self._loop.create_task(self._connected(transport))
        self._loop.run_until_complete(asyncio.wait([task]))
        failure = task.exception()
        self._failure = _innermost(failure) if failure is not None else "it closed the connection"
        self._client = None
        self._ready.set()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _connected(self, transport: Any) -> None:
        from mcp import Client

        async with Client(transport()) as client:
            self._client = client
            self._ready.set()
            await self._over.wait()


async def _within(work: Coroutine[Any, Any, T], timeout: float) -> T:
    async with asyncio.timeout(timeout):
        return await work


async def _listed(client: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor)
        for each in page.tools:
            notes = each.annotations
            reads = notes.read_only_hint if notes is not None else None
            found[each.name] = {"description": each.description or "", "schema": each.input_schema, "reads": reads}
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _answer(result: Any) -> Answer:
    parts = [getattr(each, "text", None) or f"[{each.type} left out]" for each in result.content]
    data = result.structured_content
    text = "\n".join(parts) or (json.dumps(data, default=str) if data is not None else "")
    return Answer(text, data, bool(result.is_error))


def _innermost(failure: BaseException) -> str:
    while isinstance(failure, BaseExceptionGroup) and failure.exceptions:
        failure = failure.exceptions[0]
    return f"{type(failure).__name__}: {str(failure)[:300]}"
