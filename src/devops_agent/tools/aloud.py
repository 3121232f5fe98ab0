"""What a command says while it runs: in a file of the data directory, for those who watch; gone once the action ends.

The file holds raw output, readable by its owner only; who shows it masks secrets first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from devops_agent.model import Action

FOLDER = "aloud"
MOST = 64 << 10
"""Bytes that are written of one action; its outcome tells the end of what came later."""
SHOWN = 8000
FORGOTTEN = 86400.0
"""Seconds after which a file that a killed process left is removed."""
_ears: ContextVar[BinaryIO | None] = ContextVar("ears", default=None)


@contextlib.contextmanager
def aloud(data_dir: Path, action: Action) -> Iterator[None]:
    """Within this block, what commands of this thread say can be read by `so_far`."""
    file = _file(data_dir, action)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _forget(file.parent)
        ears = os.fdopen(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb", buffering=0)
    except OSError:
        yield  # nobody watches then; the action is done all the same
        return
    before = _ears.set(ears)
    try:
        yield
    finally:
        _ears.reset(before)
        ears.close()
        file.unlink(missing_ok=True)


def hear(piece: bytes) -> None:
    """A piece of output that just came."""
    ears = _ears.get()
    if ears is not None and ears.tell() < MOST:
        with contextlib.suppress(OSError):
            ears.write(piece)


def so_far(data_dir: Path, action: Action) -> str:
    """The end of what an action that runs on this machine has said; empty where it said nothing or does not run."""
    try:
        with _file(data_dir, action).open("rb") as said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - SHOWN))
            return said.read(SHOWN).decode("utf-8", "replace")
    except OSError:
        return ""


def _file(data_dir: Path, action: Action) -> Path:
    return data_dir / FOLDER / f"{hashlib.sha256(action.model_dump_json().encode()).hexdigest()[:32]}.out"


def _forget(folder: Path) -> None:
    old = time.time() - FORGOTTEN
    for file in folder.glob("*.out"):
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < old:
                file.unlink()
