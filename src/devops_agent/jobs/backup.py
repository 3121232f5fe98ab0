"""Back-up and restore: everything that is kept, in one archive, made while the service goes on.

The archive is a ZIP: `manifest.json`, one `tables/NAME.jsonl` for each table (all read in one transaction, so that
they fit together), and `files/...` of the data directory. It says nothing about the kind of database: what was saved
from SQLite can be restored into Postgres, and the other way round. A restore first builds everything anew beside:
checksums, counts, the database's own check and the audit chain must be right before anything that is there is touched.

A back-up knows nothing of what was done after it. Jobs that had not ended then are therefore ended by a restore, so
that nothing is done a second time; those that wait for a person go on waiting.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, MetaData, Table, and_, delete, func, insert, not_, select, text, update

from devops_agent import __version__
from devops_agent.errors import RequestError
from devops_agent.jobs import audit, migrations, search
from devops_agent.jobs.database import make_engine
from devops_agent.jobs.migrations import words
from devops_agent.jobs.rows import FINISHED
from devops_agent.jobs.tables import jobs, metadata
from devops_agent.model import now

FORMAT = 1
PIECE = 500
FOLDERS = ("logs", "copies", "baselines", "runbooks")
"""Folders of the data directory that belong to what is kept; the rest is made anew, or says what runs right now."""
KEYS = ("session.key", "links.key")
_FILES = "files/"
_TABLES = "tables/"
_LOG_FIELDS = ("log_file", "baseline_file")


@dataclass(frozen=True)
class Saved:
    """What an archive holds."""

    created: datetime
    version: str
    rows: dict[str, int]
    files: int
    bytes: int


def back_up(engine: Engine, data_dir: Path, archive: Path) -> Saved:
    """Write an archive of the database and the data directory; readable by its owner only. Raises RequestError where
    there is a file of that name."""
    part = archive.with_name(f"{archive.name}.part")
    manifest: dict[str, Any] = {"format": FORMAT, "version": __version__, "created": now().isoformat()}
    manifest |= {
        "data_dir": str(data_dir),
        "revisions": sorted(migrations.heads()),
        "rows": {},
        "columns": {},
        "sha256": {},
    }
    if archive.exists():
        raise RequestError(f"FILE: {archive} exists")
    try:
        with open(part, "xb", opener=_private) as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, True, 1) as made:
            with _snapshot(engine) as connection:
                for table in metadata.sorted_tables:
                    manifest["columns"][table.name] = [column.name for column in table.columns]
                    manifest["rows"][table.name] = _dump(connection, table, made, manifest["sha256"])
            for file in _files(data_dir):
                _add(file, f"{_FILES}{file.relative_to(data_dir)}", made, manifest["sha256"])
            made.writestr("manifest.json", json.dumps(manifest, indent=1))
        os.replace(part, archive)
    finally:
        part.unlink(missing_ok=True)
    return _saved(manifest, archive)


def look(archive: Path) -> Saved:
    """What an archive holds, with every checksum verified. Raises RequestError for one that is damaged or foreign."""
    with _opened(archive) as (made, manifest):
        _verify(made, manifest)
    return _saved(manifest, archive)


def restore(
    archive: Path, engine: Engine, data_dir: Path, by: str, replace: bool = False, resume: bool = False
) -> Saved:
    """Put back what an archive holds; where there are jobs already only with `replace`, which deletes them. `resume`:
    jobs that had not ended go on. The service must not run meanwhile. Raises RequestError before anything is touched.
    """
    with _opened(archive) as (made, manifest), tempfile.TemporaryDirectory(dir=_beside(data_dir)) as scratch:
        _verify(made, manifest)
        beside = make_engine(f"sqlite:///{Path(scratch) / 'restored.db'}")
        try:
            _rebuild(made, manifest, beside)
            _check(beside, manifest)
            moved = str(data_dir) if manifest["data_dir"] != str(data_dir) else None
            with engine.begin() as connection:
                _move_in(connection, beside, replace, (manifest["data_dir"], moved) if moved else None)
                ended = [] if resume else _end_open(connection, manifest["created"])
                audit.append(connection, "", "restored", by, {"made": manifest["created"], "ended": ended})
        finally:
            beside.dispose()
        for name in manifest["sha256"]:
            if name.startswith(_FILES):
                _extract(made, name, data_dir)
    if problems := list(audit.broken(engine)):
        raise RequestError(f"FILE: restored, but the audit trail is broken: {problems[0]}")
    return _saved(manifest, archive)


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one moment throughout, and holds up nobody."""
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with engine.execution_options(sqlite_begin="DEFERRED", **level).connect() as connection, connection.begin():
        yield connection


def _dump(connection: Connection, table: Table, made: zipfile.ZipFile, sums: dict[str, str]) -> int:
    name, digest, count = f"{_TABLES}{table.name}.jsonl", hashlib.sha256(), 0
    query = select(table).order_by(*table.primary_key.columns)
    with made.open(name, "w", force_zip64=True) as out:
        rows = connection.execution_options(yield_per=PIECE).execute(query)
        for row in rows:
            line = (
                json.dumps([_plain(value) for value in row], ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
            )
            digest.update(line)
            out.write(line)
            count += 1
    sums[name] = digest.hexdigest()
    return count


def _add(file: Path, name: str, made: zipfile.ZipFile, sums: dict[str, str]) -> None:
    """A file as it is now; one that was deleted meanwhile is left out."""
    digest = hashlib.sha256()
    try:
        source = file.open("rb")
    except FileNotFoundError:
        return
    with source, made.open(name, "w", force_zip64=True) as out:
        while data := source.read(1 << 20):
            digest.update(data)
            out.write(data)
    sums[name] = digest.hexdigest()


def _files(data_dir: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (each for each in sorted((data_dir / folder).rglob("*")) if each.is_file() and not each.is_symlink())
    yield from (data_dir / name for name in KEYS if (data_dir / name).is_file())


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    try:
        with zipfile.ZipFile(archive) as made:
            try:
                manifest = json.loads(made.read("manifest.json"))
                told = manifest["format"]
            except (KeyError, ValueError, TypeError):
                raise RequestError(f"FILE: {archive} is no back-up of devops_agent") from None
            if told != FORMAT:
                raise RequestError(f"FILE: {archive} was made by a newer version of devops_agent (format {told})")
            migrations.check(frozenset(manifest["revisions"]))
            yield made, manifest
    except zipfile.BadZipFile as failure:
        raise RequestError(f"FILE: {archive} is damaged, or no back-up: {failure}") from None


def _verify(made: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    for name, wanted in manifest["sha256"].items():
        digest = hashlib.sha256()
        try:
            with made.open(name) as inner:
                while data := inner.read(1 << 20):
                    digest.update(data)
        except KeyError:
            raise RequestError(f"FILE: {name} is missing in it") from None
        if digest.hexdigest() != wanted:
            raise RequestError(f"FILE: {name} in it is damaged")


def _rebuild(made: zipfile.ZipFile, manifest: dict[str, Any], beside: Engine) -> None:
    """The archive's database as it was, and then changed to what this version wants."""
    with beside.begin() as connection:
        migrations.make_at(connection, manifest["revisions"], metadata)
        there = MetaData()
        there.reflect(connection, only=list(manifest["rows"]))
        for name in manifest["rows"]:
            table = there.tables[name]
            columns = manifest["columns"][name]
            with made.open(f"{_TABLES}{name}.jsonl") as lines:
                for rows in _pieces(lines):
                    filled = [dict(zip(columns, map(_value, row), strict=True)) for row in rows]
                    connection.execute(insert(table), filled)
    migrations.bring_up(beside, metadata)


def _check(beside: Engine, manifest: dict[str, Any]) -> None:
    with beside.connect() as connection:
        said = connection.execute(text("PRAGMA integrity_check")).scalar()
        if said != "ok":
            raise RequestError(f"FILE: what was rebuilt from it is damaged: {said}")
        for name, wanted in manifest["rows"].items():
            table = metadata.tables.get(name)
            if table is None:
                continue
            count = connection.execute(select(func.count()).select_from(table)).scalar()
            if count != wanted:
                raise RequestError(f"FILE: {name} has {count} rows instead of {wanted}")
    if problems := list(audit.broken(beside)):
        raise RequestError(f"FILE: the audit trail in it is broken: {problems[0]}")


def _move_in(connection: Connection, beside: Engine, replace: bool, moved: tuple[str, str] | None) -> None:
    if connection.execute(select(jobs.c.id).limit(1)).first() is not None and not replace:
        raise RequestError("there are jobs in this database already; --replace deletes them first")
    for table in reversed(metadata.sorted_tables):
        connection.execute(delete(table))
    with beside.connect() as source:
        for table in metadata.sorted_tables:
            rows = source.execution_options(yield_per=PIECE).execute(select(table).order_by(*table.primary_key.columns))
            for piece in rows.mappings().partitions():
                filled = [dict(row) for row in piece]
                if table.name == "job" and moved is not None:
                    filled = [{**row, "incident": _relocated(row["incident"], *moved)} for row in filled]
                connection.execute(insert(table), filled)
    if connection.dialect.name == "postgresql":
        _continue_numbers(connection)
    else:
        words.rebuild(connection)


def _end_open(connection: Connection, made: str) -> list[str]:
    """End the jobs that had not ended when the back-up was made, but for those that wait for a person; their ids."""
    asking = and_(jobs.c.status == "waiting", jobs.c.waiting == "approval")
    open_ = select(jobs.c.id).where(jobs.c.status.not_in(FINISHED), not_(asking)).order_by(jobs.c.id)
    ended = list(connection.execute(open_).scalars())
    text = f"restored from a back-up of {made}, when it had not ended: a person must look at what was done since"
    values = {"status": "error", "outcome": "error", "error": text, "finished": now().timestamp(), "progress": 100}
    values |= {"waiting": None, "owner": None, "lease": None}
    for job in ended:
        connection.execute(update(jobs).where(jobs.c.id == job).values(**values, fence=jobs.c.fence + 1))
        search.note_cancelled(connection, job)
    return ended


def _relocated(incident: str, old: str, new: str) -> str:
    """The incident with its logs where the data directory is now."""
    if old not in incident:
        return incident
    values = json.loads(incident)
    for field in _LOG_FIELDS:
        path = values.get(field)
        if path and Path(path).is_relative_to(old):
            values[field] = str(Path(new) / Path(path).relative_to(old))
    return json.dumps(values)


def _continue_numbers(connection: Connection) -> None:
    """Let Postgres give out numbers after those that there are."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None and column.type.python_type is int and column.autoincrement is not False:
            sequence = connection.execute(
                text("SELECT pg_get_serial_sequence(:name, :column)"), {"name": table.name, "column": column.name}
            ).scalar()
            if sequence:
                top = connection.execute(select(func.max(column))).scalar()
                connection.execute(
                    text("SELECT setval(:sequence, :top, :used)"),
                    {"sequence": sequence, "top": top or 1, "used": top is not None},
                )


def _extract(made: zipfile.ZipFile, name: str, data_dir: Path) -> None:
    relative = Path(name.removeprefix(_FILES))
    if relative.is_absolute() or ".." in relative.parts or relative.parts[0] not in (*FOLDERS, *KEYS):
        raise RequestError(f"FILE: {name} in it has no place in the data directory")
    target = data_dir / relative
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(f"{target.name}.part")
    with made.open(name) as inner, open(part, "wb", opener=_private) as out:
        while data := inner.read(1 << 20):
            out.write(data)
    os.replace(part, target)


def _pieces(lines: IO[bytes]) -> Iterator[list[Any]]:
    piece = []
    for line in lines:
        piece.append(json.loads(line))
        if len(piece) >= PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _plain(value: Any) -> Any:
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes | memoryview) else value


def _value(value: Any) -> Any:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value


def _saved(manifest: dict[str, Any], archive: Path) -> Saved:
    files = sum(name.startswith(_FILES) for name in manifest["sha256"])
    created = datetime.fromisoformat(manifest["created"]).astimezone(UTC)
    return Saved(created, manifest["version"], manifest["rows"], files, archive.stat().st_size)


def _beside(data_dir: Path) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return data_dir


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
