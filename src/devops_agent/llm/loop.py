"""One thread with an event loop, in which all calls to models of this process run.

The providers' clients are asynchronous and belong to the loop that made them: shared by several threads with loops of
their own they fail.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as Late
from typing import Any, TypeVar

T = TypeVar("T")
_GRACE = 5.0

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run(work: Coroutine[Any, Any, T], timeout: float) -> T:
    """What the coroutine returns or raises; TimeoutError when it takes longer. An interrupt cancels it."""
    future = asyncio.run_coroutine_threadsafe(_within(work, timeout), running())
    try:
        return future.result(timeout + _GRACE)
    except Late:
        raise TimeoutError(f"no answer within {timeout:g} s") from None
    finally:
        future.cancel()


def running() -> asyncio.AbstractEventLoop:
    """The loop, started when first asked for."""
    global _loop  # noqa: PLW0603 (one a process)
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="models", daemon=True).start()
        return _loop


async def _within(work: Coroutine[Any, Any, T], timeout: float) -> T:
    async with asyncio.timeout(timeout):
        return await work


def _forget() -> None:
    """In a child of a fork the thread is gone."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
