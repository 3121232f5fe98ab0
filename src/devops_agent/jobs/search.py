"""Lists of jobs by filters and words, newest first, quick at a million of them.

Every job has a row of words in the table `search`: of its title, cause, place, labels, and, once it is answered, of the
lines that decided. An index over single words (FTS5 on SQLite, GIN on Postgres) finds the rows that have all that is
asked for. What can be filtered on and never changes again is put there as words too (hashed marks), so that any
combination is one look-up of several words. Jobs that have not ended are few: they are filtered in their own table.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    column,
    func,
    insert,
    or_,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from devops_agent.errors import RequestError
from devops_agent.jobs.database import hurried, passing
from devops_agent.jobs.migrations import words as fulltext
from devops_agent.jobs.migrations.words import mark
from devops_agent.jobs.prepared import Prepared
from devops_agent.jobs.rows import FINISHED, JobRow, job_row
from devops_agent.jobs.tables import jobs, reading, searched
from devops_agent.model import Incident, Report

log = logging.getLogger("devops_agent.database")
OPEN = ("queued", "running", "waiting")
MOST_WORDS = 100
LONGEST_WORD = 40
_AT_ONCE = 1000
"""Rows that are indexed in one transaction: others wait for tens of milliseconds meanwhile."""
_HURRY = 0.5
"""Seconds that a question waits for somebody who writes: older jobs now are better than all of them much later."""
SHORTEST_PREFIX = 3
"""From so many letters on a word that is asked for is also found as the beginning of a longer one."""
_NO_CURSOR = "cursor: it belongs to another list; take the one that came with this list"
_WORD = re.compile(r"\w+")
_LISTED = [column for column in jobs.columns if column.name not in ("incident", "options")]


@dataclass(frozen=True)
class Page:
    """Some of the jobs that were asked for; `next_cursor` brings the next ones, None where these are the last."""

    rows: list[JobRow]
    next_cursor: str | None


def find(
    engine: Engine,
    text: str | None = None,
    status: str | None = None,
    cause: str | None = None,
    outcome: str | None = None,
    place: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    label: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    places: Collection[str | None] | None = None,
) -> Page:
    """Jobs that fit everything given, newest first.

    `text`: words that all occur; where that is less than a page, the last one is also taken as a beginning.
    `status`: queued, running, waiting, done, error, or what a job waits for (`approval`). `label`: `name=value`.
    `places`: only jobs of these (None: of no place). Raises RequestError for a cursor that is none.
    """
    words = _WORD.findall((text or "").lower())[:MOST_WORDS]
    marks = _marks(cause=cause, outcome=outcome, place=place, label=label)
    if status in FINISHED:
        marks.append(mark("status", str(status)))
    elif status is not None and (words or marks):
        marks.append(mark("status", "open"))
    within = [of_status(status) if status is not None else None, _between(since, until), _in_places(places)]
    conditions = [each for each in within if each is not None]
    by_words = bool(words or len(marks) > 1 or label is not None)
    if by_words:
        catch_up(engine)
    with reading(engine) as connection:
        if by_words:
            return _by_words(connection, _Asked(words, marks, since, conditions, limit), cursor)
        return _page(connection, _by_columns(cause, outcome, place, cursor).where(*conditions), limit, "c")


def catch_up(engine: Engine) -> None:
    """SQLite: index what came since this was last done; where that cannot be written at once, it is found later."""
    if engine.dialect.name != "sqlite":
        return
    try:
        while True:
            with reading(engine) as connection:
                if not fulltext.behind(connection):
                    return
            with hurried(engine, _HURRY) as connection:
                fulltext.catch_up(connection, _AT_ONCE)
    except DBAPIError as failure:
        if not passing(failure):
            raise
        log.warning("the newest jobs are not found by words yet: %s", str(failure.orig))


def note_new(
    connection: Connection, rows: Sequence[dict[str, Any]], incidents: Sequence[Incident], made: Mapping[str, Report]
) -> None:
    """Make new jobs findable, within the transaction that makes them; by their answers too, where they have `made`
    one already."""
    notes = [
        {
            "job": row["id"],
            "created": row["created"],
            "words": _answer(row["id"], made[row["id"]], row)
            if row["id"] in made
            else document((row["id"], row["title"], incident.place), incident, "open"),
        }
        for row, incident in zip(rows, incidents, strict=True)
    ]
    _INSERT(connection, notes)


def note_answered(connection: Connection, job: str, made: Report, values: dict[str, Any]) -> None:
    """Make a job findable by its answer too, within the transaction that writes `values` to it."""
    _UPDATE(connection, {"of": job, "words": _answer(job, made, values)})


_INSERT = Prepared(insert(searched).inline(), ("job", "created", "words"))
_UPDATE = Prepared(update(searched).where(searched.c.job == bindparam("of")).values(words=bindparam("words")))


def _answer(job: str, made: Report, values: dict[str, Any]) -> str:
    """The words of a job that has one; `values` are those of its row."""
    last = made.attempts[-1].diagnosis if made.attempts else None
    hits = made.digest.hits[:3] if made.digest else ()
    said = (job, values.get("title"), made.incident.title, last.summary if last else None, made.incident.place)
    status = values["status"] if values["status"] in FINISHED else "open"
    return document(
        (*said, values.get("cause"), *(hit.text for hit in hits)),
        made.incident,
        status,
        cause=values.get("cause"),
        outcome=values.get("outcome"),
    )


def note_cancelled(connection: Connection, job: str) -> None:
    """Let a job that was ended by a person be found among those that ended."""
    words = connection.execute(select(searched.c.words).where(searched.c.job == job)).scalar()
    if words is not None:
        ended = {mark("status", "error"), mark("outcome", "error")}
        kept = dict.fromkeys(each for each in words.split() if each != mark("status", "open"))
        changed = " ".join([*kept, *(ended - kept.keys())])
        connection.execute(update(searched).where(searched.c.job == job).values(words=changed))


def document(texts: Iterable[str | None], incident: Incident, status: str, **named: str | None) -> str:
    """The words by which a job is found, once each."""
    marks = _marks(status=status, place=incident.place, **named)
    marks += [mark("label", f"{name}={value}") for name, value in incident.labels.items()]
    spoken = " ".join([*filter(None, texts), *incident.labels.values()])[:4000].lower()
    words: dict[str, None] = {}
    for word in _WORD.findall(spoken):
        words.setdefault(word[:LONGEST_WORD])
        if "_" in word:
            words |= dict.fromkeys(filter(None, (part[:LONGEST_WORD] for part in word.split("_"))))
        if len(words) >= MOST_WORDS:
            break
    return " ".join([*words, *marks])


@dataclass(frozen=True)
class _Asked:
    """A question to the index of words."""

    words: Sequence[str]
    marks: Sequence[str]
    since: datetime | None
    conditions: Sequence[ColumnElement[bool]]
    limit: int


def _by_words(connection: Connection, asked: _Asked, cursor: str | None) -> Page:
    """A page of exact words (its cursor begins with n) or, where these do not fill the first one, of beginnings (b)."""
    begins = bool(cursor) and str(cursor)[0] == "b"
    below = _number(cursor) if cursor is not None else None
    page = _matches(connection, asked, begins, below)
    if cursor is not None or page.next_cursor or not asked.words or len(asked.words[-1]) < SHORTEST_PREFIX:
        return page
    return _matches(connection, asked, True, None)


def _matches(connection: Connection, asked: _Asked, begins: bool, below: int | None) -> Page:
    return _page(connection, _matching(connection, asked, begins, below), asked.limit, "b" if begins else "n")


def _matching(connection: Connection, asked: _Asked, begins: bool, below: int | None) -> Select[Any]:
    wanted = [f'"{word[:LONGEST_WORD]}"' for word in (*asked.marks, *asked.words)]
    if connection.dialect.name == "sqlite":
        index = table("search_words", column("rowid", Integer))
        number: ColumnElement[int] = index.c.rowid
        source: FromClause = index.join(searched, searched.c.number == number).join(jobs, searched.c.job == jobs.c.id)
        fits = text("search_words MATCH :wanted").bindparams(wanted=" AND ".join(wanted) + "*" * begins)
    else:
        number = searched.c.number
        source = searched.join(jobs, searched.c.job == jobs.c.id)
        words = " & ".join(each.replace('"', "'") for each in wanted) + ":*" * begins
        fits = text("search.vector @@ CAST(:wanted AS tsquery)").bindparams(wanted=words)
    query = select(*_LISTED, number.label("place_in_list")).select_from(source).where(fits, *asked.conditions)
    if below is not None:
        query = query.where(number < below)
    if asked.since is not None:
        first = select(func.min(searched.c.number)).where(searched.c.created >= asked.since.timestamp())
        query = query.where(number >= func.coalesce(first.scalar_subquery(), 0))
    return query.order_by(number.desc())


def _page(connection: Connection, query: Select[Any], limit: int, kind: str) -> Page:
    found = connection.execute(query.limit(limit + 1)).mappings().all()
    rows = [job_row(connection, row) for row in found[:limit]]
    if len(found) <= limit:
        return Page(rows, None)
    last = found[limit - 1]
    place = f"{json.dumps(last['created'])}~{last['id']}" if kind == "c" else last["place_in_list"]
    return Page(rows, f"{kind}{place}")


def _by_columns(cause: str | None, outcome: str | None, place: str | None, cursor: str | None) -> Select[Any]:
    query = select(*_LISTED)
    for each, value in ((jobs.c.cause, cause), (jobs.c.outcome, outcome), (jobs.c.place, place)):
        if value is not None:
            query = query.where(each == value)
    if cursor is not None:
        created, _, job = cursor.removeprefix("c").partition("~")
        stamp = _stamp(created)
        query = query.where(or_(jobs.c.created < stamp, and_(jobs.c.created == stamp, jobs.c.id < job)))
        query = query.where(jobs.c.created <= stamp)
    return query.order_by(jobs.c.created.desc(), jobs.c.id.desc())


def of_status(status: str) -> ColumnElement[bool]:
    """Jobs in this state, or waiting for this."""
    if status in (*OPEN, *FINISHED):
        return jobs.c.status == status
    return and_(jobs.c.status == "waiting", jobs.c.waiting == status)


def _in_places(places: Collection[str | None] | None) -> ColumnElement[bool] | None:
    if places is None:
        return None
    named = jobs.c.place.in_([each for each in places if each is not None])
    return or_(named, jobs.c.place.is_(None)) if None in places else named


def _between(since: datetime | None, until: datetime | None) -> ColumnElement[bool] | None:
    ends = []
    if since is not None:
        ends.append(jobs.c.created >= since.timestamp())
    if until is not None:
        ends.append(jobs.c.created < until.timestamp())
    return and_(*ends) if ends else None


def _number(cursor: str) -> int:
    if cursor[:1] not in ("n", "b") or not cursor[1:].isdigit():
        raise RequestError(_NO_CURSOR)
    return int(cursor[1:])


def _stamp(created: str) -> float:
    try:
        return float(created)
    except ValueError:
        raise RequestError(_NO_CURSOR) from None


def _marks(**named: str | None) -> list[str]:
    return [mark(name, value) for name, value in named.items() if value]
