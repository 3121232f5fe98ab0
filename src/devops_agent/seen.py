"""What this process is doing right now, for those who watch: stages of a walk, and ids that belong to all that happens.

Logs take the ids, metrics the times, traces both. Nobody watching costs nothing. A watcher is given the stage's path
(`distil`, `0/diagnosis`, `0/look/disk_usage(path=/)#1`, `0/once/a1`) and is entered around it, as a context manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

Watcher = Callable[[str], AbstractContextManager[object]]
Listener = Callable[[str, Mapping[str, Any]], None]

_NONE: Mapping[str, str] = {}
_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default=_NONE)
_NOBODY: AbstractContextManager[object] = nullcontext()
_watchers: list[Watcher] = []
_listeners: list[Listener] = []


def watch(watcher: Watcher) -> None:
    """Have every stage of this process told to one more watcher; a second time changes nothing."""
    if watcher not in _watchers:
        _watchers.append(watcher)


def stage(path: str) -> AbstractContextManager[object]:
    """Around one stage of a walk."""
    if len(_watchers) == 1:
        return _watchers[0](path)
    return _watched(path) if _watchers else _NOBODY


@contextmanager
def _watched(path: str) -> Iterator[None]:
    with ExitStack() as entered:
        for watcher in _watchers:
            entered.enter_context(watcher(path))
        yield


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Around all that belongs to these ids (`request`, `job`, `place`, ...), in this thread."""
    token = _ids.set({**_ids.get(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _ids.reset(token)


def ids() -> Mapping[str, str]:
    """The ids that what happens here belongs to."""
    return _ids.get()


def kind(path: str) -> str:
    """The stage without what differs from job to job: `0/look/disk_usage(path=/)#1` is a `look`."""
    first, _, rest = path.partition("/")
    return rest.partition("/")[0] if first.isdigit() and rest else first


def listen(listener: Listener) -> None:
    """Have what is told in this process told to one more listener; a second time changes nothing."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(what: str, **facts: Any) -> None:
    """Tell that something happened: `job` (`made`: its report, when it has ended), `streams` (`open`: how many)."""
    for listener in _listeners:
        listener(what, facts)
