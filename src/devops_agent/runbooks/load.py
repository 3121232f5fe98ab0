"""The library of runbooks: from the parsed form that the package ships, or from the YAML files where those are newer.

`library.json` holds the patterns ready for the scanner, and every runbook as one JSON text that is only read when its
signature hit. It is written at install (hatch_build.py) and by `python -m devops_agent.runbooks.load`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from devops_agent.errors import ConfigError, NotFound
from devops_agent.runbooks.causes import FILE as CAUSES_FILE
from devops_agent.runbooks.causes import Causes, from_data, read_data
from devops_agent.scan import Pattern

FOLDER = Path(__file__).with_name("library")
SHIPPED = Path(__file__).with_name("library.json")
FORM = 5
"""Version of the parsed form; another one is not read."""


class Runbooks(Mapping[str, Any]):
    """Runbooks by id; each is validated and built when it is first asked for."""

    def __init__(self, bodies: Mapping[str, str]) -> None:
        self._bodies = bodies
        self._built: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        found = self._built.get(key)
        if found is None:
            from devops_agent.runbooks.schema import Runbook

            found = self._built[key] = Runbook.model_validate_json(self._bodies[key])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._bodies)

    def __len__(self) -> int:
        return len(self._bodies)


class Library:
    """All runbooks, their patterns, the vocabulary of causes, and which files were left out because they are wrong."""

    def __init__(
        self,
        bodies: Mapping[str, str],
        patterns: Sequence[Sequence[Any]],
        causes: Causes,
        problems: Sequence[str] = (),
    ) -> None:
        self.problems = tuple(problems)
        self.runbooks: Mapping[str, Any] = Runbooks(bodies)
        self.causes = causes
        self._bodies = bodies
        self._patterns = patterns

    def joined(self, bodies: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> Library:
        """A library with these runbooks too; they take the place of those with the same id."""
        kept = [row for row in self._patterns if row[0] not in bodies]
        return Library({**self._bodies, **bodies}, [*kept, *rows], self.causes, self.problems)

    def without(self, ids: Iterable[str]) -> Library:
        """A library that does not know these runbooks."""
        gone = set(ids)
        bodies = {key: body for key, body in self._bodies.items() if key not in gone}
        return Library(bodies, [row for row in self._patterns if row[0] not in gone], self.causes, self.problems)

    def signatures(self) -> list[Pattern]:
        """Every pattern of every runbook, for `scan.Signatures`."""
        return [
            Pattern(owner, number, role, source, tuple(map(tuple, literals)), ignore_case)
            for owner, number, role, source, literals, ignore_case in self._patterns
        ]

    def runbook(self, key: str) -> Any:
        """The runbook of that id; raises NotFound."""
        try:
            return self.runbooks[key]
        except KeyError:
            raise NotFound(f"no runbook {key!r}") from None


def library(extra: Sequence[str | Path] = (), folder: Path = FOLDER, shipped: Path = SHIPPED) -> Library:
    """The library; runbooks of `extra` (directories or files) take the place of those with the same id, later ones win.

    Raises ConfigError that names file and field.
    """
    data = _shipped(folder, shipped)
    known = Library(data["bodies"], data["patterns"], from_data(data["causes"]), data["problems"])
    for start in extra:
        known = known.joined(*parse_all(Path(start), known.causes))
    return known


def parse_all(start: Path, causes: Causes) -> tuple[dict[str, str], list[Sequence[Any]]]:
    """Bodies by id and pattern rows of a file or directory of own runbooks; ConfigError for the first wrong one."""
    if not start.exists():
        raise ConfigError(f"{start}: no such directory of runbooks")
    bodies: dict[str, str] = {}
    rows: list[Sequence[Any]] = []
    seen: dict[str, Path] = {}
    for path in files(start) if start.is_dir() else [start]:
        body, found = parse_file(path)
        key = found[0][0]
        if key in seen:
            raise ConfigError(f"{path}: id: {key} is used by {seen[key]} too")
        seen[key] = path
        for where, cause in _named(json.loads(body)):
            if cause not in causes.meanings:
                near = ", ".join(difflib.get_close_matches(cause, causes.meanings, 1))
                raise ConfigError(f"{path}: {where}: {cause!r} is no known cause{f' (perhaps {near})' if near else ''}")
        bodies[key] = body
        rows += found
    return bodies, rows


def _named(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "cause", body["cause"]
    for finding in body.get("findings", ()):
        if finding.get("cause"):
            yield f"findings.{finding['id']}.cause", finding["cause"]


def files(folder: Path) -> list[Path]:
    """All runbook files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def parse_file(path: Path) -> tuple[str, list[Sequence[Any]]]:
    """One runbook: its JSON text and its pattern rows; raises ConfigError that names file and field."""
    from pydantic import ValidationError

    from devops_agent.runbooks.schema import Runbook
    from devops_agent.yamlfile import read, wrong

    try:
        runbook = Runbook.model_validate(read(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where or 'runbook'}: {wrong(first, Runbook)}") from None
    return runbook.model_dump_json(exclude_defaults=True), _rows(runbook, path)


def build(folder: Path = FOLDER, shipped: Path = SHIPPED, strict: bool = True) -> dict[str, Any]:
    """Parse all YAML files, write the parsed form beside the code where that is possible, and return it.

    A wrong file is an error; where not `strict` (it may be half written) it is left out and named in `problems`.
    """
    stamp = _stamp(folder)
    bodies: dict[str, str] = {}
    patterns: list[Sequence[Any]] = []
    problems: list[str] = []
    for path in files(folder):
        try:
            body, rows = parse_file(path)
            key = rows[0][0]
            if key in bodies:
                raise ConfigError(f"{path}: id: {key} is used by another runbook")
        except ConfigError as error:
            if strict:
                raise
            problems.append(str(error))
            continue
        bodies[key] = body
        patterns.extend(rows)
    data = {
        "form": FORM,
        "stamp": stamp,
        "causes": read_data(),
        "problems": problems,
        "patterns": patterns,
        "bodies": bodies,
    }
    _write(shipped, json.dumps(data, separators=(",", ":")))
    return data


def _rows(runbook: Any, path: Path) -> list[Sequence[Any]]:
    import re

    from devops_agent.runbooks.lines import compiled, split_flags, within_line
    from devops_agent.scan import literals

    rows: list[Sequence[Any]] = []
    for number, (role, text) in enumerate(runbook.patterns()):
        source, ignore_case = split_flags(text)
        source = within_line(source)
        try:
            re.compile(source)
        except re.error as error:
            raise ConfigError(f"{path}: match.{role}: {error} in {text!r}") from None
        rows.append((runbook.id, number, role, source, literals(source, ignore_case), ignore_case))
    for number, text in enumerate(runbook.match.facts):
        try:
            compiled(text)
        except re.error as error:
            raise ConfigError(f"{path}: match.facts[{number}]: {error} in {text!r}") from None
    return rows


def _shipped(folder: Path, shipped: Path) -> dict[str, Any]:
    """The parsed form, if it is of this version and no YAML file was touched since."""
    try:
        data: dict[str, Any] = json.loads(shipped.read_bytes())
    except (OSError, ValueError):
        return build(folder, shipped, strict=False)
    if data.get("form") != FORM or (_is_checkout() and data["stamp"] != _stamp(folder)):
        return build(folder, shipped, strict=False)
    return data


def _is_checkout() -> bool:
    """Whether this is a source tree, where files are edited; an installed package is as it was built."""
    return Path(__file__).parents[3].joinpath("hatch_build.py").exists()


def _stamp(folder: Path) -> str:
    """Hash of names, sizes and times of all files that go into the parsed form."""
    found: list[tuple[str, int, int]] = []
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.endswith((".yaml", ".yml")):
                    status = entry.stat()
                    found.append((os.path.relpath(entry.path, folder), status.st_size, status.st_mtime_ns))
    status = CAUSES_FILE.stat()
    found.append(("causes", status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()[:32]


def _write(path: Path, text: str) -> None:
    """Replace the file at once, or leave it where the folder may not be written to."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".library.", suffix=".json")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError:
        return


if __name__ == "__main__":
    written = build()
    print(f"{len(written['bodies'])} runbooks, {len(written['patterns'])} patterns: {SHIPPED}")
