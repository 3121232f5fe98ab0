"""A team's own runbooks: from packages that are installed (entry points), then from a directory, which wins."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devops_agent.errors import ConfigError
from devops_agent.runbooks.load import Library, files, library

ENTRY_POINTS = "devops_agent.runbooks"
"""Group of entry points; each names a package whose folder holds runbooks."""


def whole_library(own: Path | None, tools: Mapping[str, Any] | None = None) -> Library:
    """The library with the runbooks of packages and of the own directory. Raises ConfigError naming file and field.

    With the catalogue of `tools` it is also checked that what they call is there.
    """
    folders = [*packaged(), *([own] if own else [])]
    known = library(folders)
    if folders:
        from devops_agent.runbooks.lint import read_runbook, sound

        for path in (each for folder in folders for each in files(folder)):
            for field, text in sound(read_runbook(path), tools):
                raise ConfigError(f"{path}: {field}: {text}")
    return known


def packaged() -> list[Path]:
    """Folders of installed packages that bring runbooks along, by the name of their entry point.

    The packages are not imported: they only hold files.
    """
    if not _announced():
        return []
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    folders = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        try:
            found = find_spec(entry.module)
        except ImportError:
            found = None
        places = list(found.submodule_search_locations or ()) if found else []
        if not places:
            raise ConfigError(f"entry point {ENTRY_POINTS}: {entry.name}: {entry.module} is not a package")
        folders.append(Path(places[0]))
    return folders


def stamp(own: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files of the own directory: another value when one was changed."""
    found = []
    for path in files(own) if own and own.is_dir() else ():
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path), status.st_size, status.st_mtime_ns))
    return tuple(found)


def _announced() -> bool:
    """Whether any installed package speaks of such runbooks: without importlib.metadata, slow to load."""
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as entries:
                names = [entry.path for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for name in names:
            try:
                text = Path(name, "entry_points.txt").read_bytes()
            except OSError:
                continue
            if ENTRY_POINTS.encode() in text:
                return True
    return False
