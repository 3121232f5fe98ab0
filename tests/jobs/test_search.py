"""Lists and search: every filter, every combination, page by page, on both databases."""

import itertools
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from devops_agent.errors import RequestError
from devops_agent.jobs.retention import forget
from devops_agent.jobs.search import find
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import jobs as table
from devops_agent.jobs.tables import open_engine
from devops_agent.model import Attempt, Diagnosis, Incident, Report

TITLES = (
    "No space left on /var",
    "connection refused by postgres_main:5432",
    "Größe überschritten",
    'it\'s "odd" ) * (',
)
CAUSES = ("disk_full", "service_down", "unknown")


def ended(number):
    """An incident that was answered: which one follows from its number."""
    cause = CAUSES[number % 3]
    place = "shop" if number % 2 else "bank"
    labels = {"env": "production" if number % 5 == 0 else "staging"}
    incident = Incident(id=f"inc_{number}", title=TITLES[number % 4], titled=True, log="x", place=place, labels=labels)
    diagnosis = Diagnosis(cause=cause, summary=f"summary{number}")
    outcome = "error" if number % 7 == 0 else "resolved"
    return Report(incident=incident, attempts=(Attempt(diagnosis=diagnosis),), status=outcome)


@pytest.fixture
def store(database):
    """Thirty jobs that ended, and three that have not."""
    jobs = Jobs(open_engine(database))
    for number in range(30):
        made = ended(number)
        jobs.submit([made.incident])
        jobs.finish(jobs.claim("me"), made)
    for number in range(30, 33):
        jobs.submit([Incident(id=f"inc_{number}", title="disk trouble", log="x", place="shop")])
    claim = jobs.claim("me")
    waits = Report(incident=claim.incident, status="planned", attempts=ended(31).attempts)
    jobs.suspend(claim, "approval", None, waits)
    jobs.claim("me")
    return jobs


def found(store, **asked):
    """Titles and more of all that is found, through pages of seven."""
    rows, cursor = [], None
    while True:
        page = find(store.engine, **asked, cursor=cursor, limit=7)
        rows += page.rows
        if page.next_cursor is None:
            return rows
        assert len(page.rows) == 7
        cursor = page.next_cursor


def test_all_are_listed_newest_first_each_once(store):
    rows = found(store)
    assert len({row.id for row in rows}) == len(rows) == 33
    assert [row.created for row in rows] == sorted((row.created for row in rows), reverse=True)


def test_every_combination_of_filters_finds_what_fits(store):
    everything = {row.id: row for row in found(store)}
    with store.engine.connect() as connection:
        places = dict(connection.execute(table.select().with_only_columns(table.c.id, table.c.place)).all())
    choices = {
        "status": (None, "queued", "running", "waiting", "approval", "done", "error"),
        "cause": (None, "disk_full", "none"),
        "outcome": (None, "resolved", "error"),
        "place": (None, "shop", "nowhere"),
    }
    for chosen in itertools.product(*choices.values()):
        asked = dict(zip(choices, chosen, strict=True))
        wanted = {
            key
            for key, row in everything.items()
            if asked["status"] in (None, row.status, row.waiting)
            and asked["cause"] in (None, row.cause)
            and asked["outcome"] in (None, row.outcome)
            and asked["place"] in (None, places[key])
        }
        assert {row.id for row in found(store, **asked)} == wanted, asked


WORDS = {
    "space": 8,
    "SPACE left": 8,
    "spa": 8,
    "left spac": 8,
    "spac left": 0,
    "no": 8,
    "n": 0,
    "postgres_main": 8,
    "main 5432": 8,
    "größe": 7,
    "it's odd": 7,
    "space refused": 0,
    "summary7": 1,
    "disk": 13,
    "' OR 1=1 --": 0,
    '" * ( ) : & | ! <->': 33,
}


def test_words(store):
    assert {words: len(found(store, text=words)) for words in WORDS} == WORDS
    for cursor in ("", "x", "n", "nx", "cx~y", "n5"):
        with pytest.raises(RequestError, match="cursor"):
            find(store.engine, cursor=cursor)


def test_words_with_filters_and_times(store):
    assert len(found(store, text="space", cause="disk_full", outcome="resolved")) == 2
    assert [row.waiting for row in found(store, text="trouble", status="waiting")] == ["approval"]
    assert [row.status for row in found(store, text="trouble", status="queued")] == ["queued"]
    assert len(found(store, label="env=production")) == 6
    assert found(store, label="env=prod") == []
    moment = found(store)[9].created
    assert len(found(store, since=moment)) == 10
    assert len(found(store, until=moment)) == 23
    newer = found(store, text="space", since=moment)
    assert len(newer) + len(found(store, text="space", until=moment)) == 8
    assert all(row.created >= moment for row in newer)
    assert found(store, text="space", since=datetime(2100, 1, 1, tzinfo=UTC)) == []


def test_what_was_cancelled_or_forgotten_is_found_no_more(store):
    waiting = found(store, status="waiting")[0]
    assert store.cancel(waiting.id, "me", "not wanted")
    assert waiting.id not in {row.id for row in found(store, text="trouble", status="waiting")}
    assert waiting.id in {row.id for row in found(store, text="trouble", status="error")}
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE job SET finished = finished - 86400 * 2 WHERE outcome = 'resolved'"))
    assert forget(store.engine, days=1) == 25
    assert found(store, text="space", outcome="resolved") == []
    assert len(found(store)) == 8
    if store.engine.dialect.name == "sqlite":
        with store.engine.begin() as connection:
            connection.execute(text("INSERT INTO search_words (search_words) VALUES ('integrity-check')"))
