"""`backup`, `restore`, `db`: everything that is kept, in one file; and the database's tables."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from devops_agent.cli import options, terminal

if TYPE_CHECKING:
    from devops_agent.jobs.backup import Saved

Archive = Annotated[Path, typer.Argument(metavar="FILE", help="The archive.", show_default=False)]
BACKUP = """\b
Examples:
  devops-agent backup /backups/$(date +%F).zip
  devops-agent restore /backups/2026-11-22.zip --check
"""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog=BACKUP, short_help="Save everything that is kept into one file.")(backup)
    app.command(epilog=BACKUP)(restore)
    tables = typer.Typer(help="The tables of the database, and their version.", no_args_is_help=True)
    tables.command("status", short_help="Which version the tables have, and which is wanted.")(status)
    tables.command("upgrade", short_help="Bring the tables to this version of the code.")(upgrade)
    app.add_typer(tables, name="db")


def backup(file: Archive, as_json: options.Json = False) -> None:
    """Save everything that is kept into one file, while the service goes on.

    All tables as they are at one moment, logs, copies made for undoing, and keys. It can be restored into SQLite and
    Postgres alike.
    """
    from devops_agent import bootstrap
    from devops_agent.jobs import backup as archives

    settings = options.settings()
    with terminal.working("saving"):
        saved = archives.back_up(bootstrap.open_jobs(settings).engine, settings.data_dir, file)
    _tell("saved", file, saved, as_json)


def restore(
    file: Archive,
    check: Annotated[bool, typer.Option("--check", help="Only verify the archive.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Delete the jobs that there are.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Let jobs go on that had not ended; they may do again what was done since.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Put back what `backup` saved, verified first. The service must not run meanwhile.

    Jobs that had not ended when it was saved are ended for a person to look at; those that wait for approval go on
    waiting.
    """
    from devops_agent import bootstrap
    from devops_agent.jobs import backup as archives

    options.readable(file, "FILE")
    settings = options.settings()
    with terminal.working("verifying"):
        if check:
            saved = archives.look(file)
        else:
            engine = bootstrap.open_jobs(settings).engine
            saved = archives.restore(file, engine, settings.data_dir, options.user(), replace, resume)
    _tell("verified" if check else "restored", file, saved, as_json)


def status(as_json: options.Json = False) -> None:
    """Which version the database's tables have, and whether this one of the code wants another. Changes nothing."""
    from devops_agent.jobs import database, migrations

    url = options.settings().url
    with database.reading(database.make_engine(url)) as connection:
        found = migrations.found(connection)
    wanted = migrations.heads()
    if as_json:
        terminal.write_json({"found": sorted(found), "wanted": sorted(wanted), "current": found == wanted})
        return
    terminal.write(f"found {', '.join(sorted(found)) or 'none'}; wanted {', '.join(sorted(wanted))}")
    migrations.check(found)
    if found != wanted:
        terminal.hint("the next command that uses the database changes it, and `devops-agent db upgrade` does so now")


def upgrade() -> None:
    """Bring the database's tables to what this version of the code wants; every start does so too."""
    from devops_agent import bootstrap
    from devops_agent.jobs import migrations

    bootstrap.open_jobs(options.settings())
    terminal.write(f"the tables are at {', '.join(sorted(migrations.heads()))}")


def _tell(done: str, file: Path, saved: Saved, as_json: bool) -> None:
    if as_json:
        terminal.write_json({"done": done, "file": str(file), **asdict(saved), "created": saved.created.isoformat()})
        return
    jobs, entries = saved.rows.get("job", 0), saved.rows.get("audit", 0)
    terminal.write(
        f"{done} {file}: {jobs} jobs, {entries} entries of the audit trail, {saved.files} files, "
        f"{saved.bytes} bytes, made {saved.created:%Y-%m-%d %H:%M:%S} UTC by version {saved.version}"
    )
