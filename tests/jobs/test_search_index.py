"""SQLite's index over words: filled some time after the rows came, right whatever happened to them meanwhile."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from devops_agent.jobs import search
from devops_agent.jobs.migrations import words
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.model import Attempt, Diagnosis, Incident, Report


@pytest.fixture
def jobs(tmp_path):
    return Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))


def submit(jobs, title):
    return jobs.submit([Incident(id="inc_1", title=title, log="x")]).jobs[0]


def end(jobs, job):
    claim = jobs.claim("me", job)
    diagnosis = Diagnosis(cause="disk_full", summary="summary")
    jobs.finish(claim, Report(incident=claim.incident, attempts=(Attempt(diagnosis=diagnosis),), status="resolved"))


def behind(jobs):
    with jobs.engine.connect() as connection:
        return words.behind(connection)


def check(jobs):
    """Let SQLite compare the index with the rows."""
    search.catch_up(jobs.engine)
    with jobs.engine.begin() as connection:
        connection.execute(text("INSERT INTO search_words (search_words, rank) VALUES ('integrity-check', 1)"))


def titles(jobs, asked):
    return [row.title for row in search.find(jobs.engine, text=asked).rows]


def test_what_just_came_is_found_and_is_indexed_by_that(jobs):
    submit(jobs, "left over")
    assert behind(jobs)
    assert titles(jobs, "left") == ["left over"]
    assert not behind(jobs)
    check(jobs)


def test_rows_that_change_or_go_before_and_after_they_are_indexed(jobs, monkeypatch):
    early, gone = submit(jobs, "early bird"), submit(jobs, "gone bird")
    search.catch_up(jobs.engine)
    late, away = submit(jobs, "late bird"), submit(jobs, "away bird")
    end(jobs, early)
    end(jobs, late)
    with jobs.engine.begin() as connection:
        connection.execute(text("DELETE FROM search WHERE job IN (:one, :two)"), {"one": gone, "two": away})
    monkeypatch.setattr(search, "_AT_ONCE", 1)
    assert titles(jobs, "bird disk_full") == ["late bird", "early bird"]
    assert titles(jobs, "gone") == titles(jobs, "away") == []
    check(jobs)


def test_the_newest_row_goes_before_it_is_indexed(jobs):
    gone = submit(jobs, "gone")
    with jobs.engine.begin() as connection:
        connection.execute(text("DELETE FROM search WHERE job = :job"), {"job": gone})
    submit(jobs, "next")
    assert titles(jobs, "next") == ["next"]
    check(jobs)


def test_where_nothing_can_be_written_the_others_are_found(jobs, monkeypatch, caplog):
    submit(jobs, "first word")
    search.catch_up(jobs.engine)
    submit(jobs, "second word")

    def full(connection, most):
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(search, "index_more", full)
    assert titles(jobs, "word") == ["first word"]
    assert "not found by words yet" in caplog.text
