"""SQLite's index over words: filled some time after the rows came, right whatever happened to them meanwhile."""

import time

import pytest
from sqlalchemy import text

from devops_agent.jobs import embedded, search
from devops_agent.jobs.embedded import EmbeddedWorkers
from devops_agent.jobs.migrations import words
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
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


def test_a_question_does_not_wait_for_somebody_who_writes_for_long(jobs, caplog):
    submit(jobs, "first word")
    search.catch_up(jobs.engine)
    submit(jobs, "second word")
    with jobs.engine.begin():
        begun = time.monotonic()
        assert titles(jobs, "word") == ["first word"]
        assert time.monotonic() - begun < 20, "it waited as long as a writer does"
    assert "not found by words yet" in caplog.text
    assert titles(jobs, "word") == ["second word", "first word"]
    with jobs.engine.connect() as connection:
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000


def test_words_are_indexed_even_if_nobody_asks(jobs, monkeypatch):
    monkeypatch.setattr(embedded, "_RECOVER_EVERY", 0.02)
    submit(jobs, "left alone")
    workers = EmbeddedWorkers(Worker(jobs, None), count=0)
    workers.start()
    try:
        end = time.monotonic() + 30
        while behind(jobs) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        workers.stop()
    assert not behind(jobs)


def test_ids_grow_with_time(jobs):
    made = []
    for number in range(5):
        made.append(submit(jobs, f"it fails {number}"))
        time.sleep(0.002)
    assert made == sorted(made)
