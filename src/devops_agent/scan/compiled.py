"""A set of expressions compiled by hyperscan, kept on disk so that compiling is paid once.

The cache is only read from a folder that this user owns and nobody else can write to: what lies there is machine
state that hyperscan trusts. Its key holds hyperscan's version, the processor and the expressions themselves.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Expression = tuple[str, bool]
"""Source in the syntax that `re` and hyperscan share, and whether case is ignored."""

OnMatch = Callable[[int, int, int, int, Any], Any]
_DIGEST = 32


class Unavailable(Exception):
    """There is no hyperscan on this machine; the caller looks with `re` instead."""


class Compiled:
    """Expressions ready to be scanned for. One match per expression and block is reported: its first end; with `every`,
    all ends of all matches.

    `key` names the expressions; they are asked for only where no compiled form is kept under it.
    """

    def __init__(
        self, key: str, expressions: Callable[[], Sequence[Expression]], folder: Path | None, every: bool = False
    ) -> None:
        try:
            import hyperscan
        except ImportError as error:
            raise Unavailable(str(error)) from error
        self._library = hyperscan
        self._every = every
        self.left_out: tuple[int, ...] = ()
        self.cached = False
        path = None if folder is None else _file(folder, _key(f"every {key}" if every else key))
        self._database: Any = self._load(path) if path is not None else None
        if self._database is None:
            self._database = self._compile(expressions())
            if path is not None:
                _write(path, hyperscan.dumpb(self._database))

    def scratch(self) -> Any:
        """Working memory for one thread."""
        return self._library.Scratch(self._database)

    def scan(self, block: bytes | bytearray, on_match: OnMatch, scratch: Any) -> None:
        """One pass over a block; other threads run meanwhile."""
        self._database.scan(block, match_event_handler=on_match, scratch=scratch)

    def _load(self, path: Path) -> Any:
        """The kept form, or None where there is none that can be used."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, body = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            return None
        try:
            database = self._library.loadb(body, self._library.HS_MODE_BLOCK)
        except self._library.HyperscanError:
            return None
        self.cached = True
        return database

    def _compile(self, expressions: Sequence[Expression]) -> Any:
        """All expressions in one database; those that hyperscan does not take are left out (`left_out`)."""
        numbers = list(range(len(expressions)))
        try:
            return self._database_of(expressions, numbers)
        except self._library.HyperscanError:
            good = [number for number in numbers if self._taken(expressions, number)]
        self.left_out = tuple(sorted(set(numbers) - set(good)))
        return self._database_of(expressions, good)

    def _taken(self, expressions: Sequence[Expression], number: int) -> bool:
        try:
            self._database_of(expressions, [number])
        except self._library.HyperscanError:
            return False
        return True

    def _database_of(self, expressions: Sequence[Expression], numbers: list[int]) -> Any:
        library = self._library
        database = library.Database(mode=library.HS_MODE_BLOCK)
        flags = [self._flags(*expressions[number]) for number in numbers]
        sources = [_for_hyperscan(expressions[number][0]) for number in numbers]
        database.compile(expressions=sources, ids=numbers, elements=len(numbers), flags=flags)
        return database

    def _flags(self, source: str, ignore_case: bool) -> int:
        library = self._library
        flags = library.HS_FLAG_MULTILINE | (0 if self._every else library.HS_FLAG_SINGLEMATCH)
        if ignore_case:
            flags |= library.HS_FLAG_CASELESS
        if not source.isascii():
            flags |= library.HS_FLAG_UTF8
        return int(flags)


def _for_hyperscan(source: str) -> bytes:
    """The expression for raw lines: what CI systems put before a line must not hide what begins it."""
    if source.startswith("^") and "|" not in source:
        source = source[1:]
    return source.replace(r"\Z", r"\z").encode("utf-8")


def _key(key: str) -> str:
    return hashlib.sha256(f"{key} {_version()} {platform.machine()} {_processor()}".encode()).hexdigest()[:40]


def _version() -> str:
    from importlib.metadata import version

    return version("hyperscan")


def _processor() -> str:
    """What the processor can do: hyperscan compiles for it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return hashlib.sha256(line.encode()).hexdigest()[:16]
    except OSError:
        pass
    return platform.processor()


def _file(folder: Path, key: str) -> Path | None:
    """The file of this key in a folder that is ours alone; None where the folder is somebody else's."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError:
        return None
    if hasattr(os, "geteuid") and (found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return None
    return folder / f"{key}.hs"


def _write(path: Path, body: bytes) -> None:
    """Put the compiled form in place in one move; where that fails it is compiled again next time."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".compiled-")
    except OSError:
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(body).digest() + body)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
