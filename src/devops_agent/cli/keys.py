"""`keys`: who may call the service. The commands work on its database, also while it runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import RequestError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from devops_agent.jobs.keys import Key

CREATE = """\b
Examples:
  devops-agent keys create ann --role approver
  devops-agent keys create ci-shop --role responder --place shop --expires 90d
  devops-agent keys create first --role admin --if-none --to /data/first-key      when a container starts

\b
Roles, each with the rights of those before it:
  viewer     reads incidents, plans, events, statistics and the audit trail
  responder  submits logs, cancels and retries jobs, says what a cause was, stops everything
  approver   approves and denies plans, goes on after a stop
  admin      creates, rotates and revokes keys
"""
Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.", show_default=False)]
_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def register(app: typer.Typer) -> None:
    """Add these commands."""
    keys = typer.Typer(
        help="Keys of the service: who may call it, as what.", no_args_is_help=True, rich_markup_mode=None
    )
    keys.command("create", epilog=CREATE)(create)
    keys.command("list")(list_keys)
    keys.command("rotate", short_help="Put a new key in the place of one.")(rotate)
    keys.command("revoke", short_help="Let a key open nothing from now on.")(revoke)
    app.add_typer(keys, name="keys")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is: a person or a program.")],
    role: Annotated[str, typer.Option(metavar="ROLE", help="viewer, responder, approver or admin.")] = "viewer",
    place: Annotated[
        list[str] | None,
        typer.Option(metavar="PLACE", help="Only for this place; may be given several times.", show_default=False),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="After 90d, 12h, ..., or at a date (2027-01-31).", show_default=False),
    ] = None,
    if_none: Annotated[bool, typer.Option("--if-none", help="Only where there is no key yet.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it to this new file instead of showing it.", show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Create a key and show it, once.

    From the first key on, the service answers nobody without one (but /health).
    """
    from devops_agent.jobs import keys

    engine = _engine()
    if if_none and keys.exist(engine):
        terminal.hint("there are keys already; none was made")
        return
    until = moment(expires) if expires else None
    with _file(to) as file:
        made, text = keys.create(engine, name, role, place or (), until, options.user())
        if file is not None:
            file.write(f"{text}\n")
    if file is None:
        _told(made, text, as_json)
    else:
        terminal.remark(f"key {made.id} for {made.name} ({made.role}) is in {to}")


def list_keys(as_json: options.Json = False) -> None:
    """All keys, also those that open nothing any more."""
    from devops_agent.jobs import keys

    known = keys.listed(_engine())
    if as_json:
        terminal.write_json([record(each) for each in known])
        return
    if not known:
        terminal.hint(
            "no key yet: on loopback the service answers everybody; `devops-agent keys create NAME` makes one"
        )
        return
    terminal.table(
        ("id", "name", "role", "places", "state", "last used", "created by"),
        [
            (
                each.id,
                each.name,
                each.role,
                ", ".join(each.places) or "all",
                state(each),
                _day(each.used),
                each.created_by,
            )
            for each in known
        ],
    )


def rotate(
    name: Id,
    overlap: Annotated[
        str, typer.Option(metavar="SPAN", help="How long the old key goes on to open: 1h, 7d, ...; 0s for not at all.")
    ] = "1h",
    as_json: options.Json = False,
) -> None:
    """Put a new key in the place of one, with the same name, role and places."""
    from devops_agent.jobs import keys

    made, text = keys.rotate(_engine(), name, span(overlap, "--overlap"), options.user())
    _told(made, text, as_json)


def revoke(name: Id, as_json: options.Json = False) -> None:
    """Let a key open nothing from now on (running processes notice within two seconds)."""
    from devops_agent.jobs import keys

    gone = keys.revoke(_engine(), name, options.user())
    if as_json:
        terminal.write_json(record(gone))
    else:
        terminal.write(f"{gone.id}: revoked ({gone.name}, {gone.role})")


def moment(text: str) -> datetime:
    """A span from now on, or a date."""
    if _SPAN.fullmatch(text):
        return datetime.now(UTC) + span(text, "--expires")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"--expires: {text!r} is neither a span such as 90d nor a date such as 2027-01-31") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def span(text: str, field: str) -> timedelta:
    """Seconds, minutes, hours, days or weeks."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise RequestError(f"{field}: {text!r} is not a span such as 90d, 12h or 30m")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def state(key: Key) -> str:
    """What a key is good for at this moment."""
    if key.revoked is not None:
        return f"revoked {_day(key.revoked)}"
    if key.expires is None:
        return "valid"
    return f"{'until' if key.valid else 'expired'} {_day(key.expires)}"


def record(key: Key) -> dict[str, Any]:
    """A key for programs: everything but its hash."""
    times = {name: getattr(key, name) for name in ("created", "expires", "revoked", "used")}
    facts = {name: getattr(key, name) for name in ("id", "name", "role", "created_by", "replaces", "valid")}
    return facts | {"places": list(key.places)} | {name: at.isoformat() if at else None for name, at in times.items()}


def _engine() -> Engine:
    from devops_agent import bootstrap

    return bootstrap.open_jobs(options.settings()).engine


@contextmanager
def _file(path: Path | None) -> Iterator[TextIO | None]:
    """A new file that its owner alone may read; opened before the key is made, so that none is lost."""
    if path is None:
        yield None
        return
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise RequestError(f"--to: {path}: {error.strerror}") from None
    with open(made, "w", encoding="utf-8") as file:
        yield file


def _told(made: Key, text: str, as_json: bool) -> None:
    if as_json:
        terminal.write_json({**record(made), "key": text})
        return
    terminal.write(text)
    terminal.remark(f"key {made.id} for {made.name} ({made.role}); it is shown this once and kept as a hash only")


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
