"""Back-up while jobs are being worked on, and restore into the same kind of database and into the other."""

import json
import threading
import time
import zipfile

import pytest
from sqlalchemy import func, select, update

from devops_agent.errors import ConfigError, RequestError
from devops_agent.jobs import audit, backup, migrations
from devops_agent.jobs.search import find
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import jobs as table
from devops_agent.jobs.tables import metadata, open_engine
from devops_agent.model import Incident
from devops_agent.report import report


def submit(jobs, number, **more):
    return jobs.submit([Incident(id=f"inc_{number}", title=f"trouble {number}", log="ERROR: \x00 x\n", **more)]).jobs[0]


def finish(jobs, claim):
    jobs.finish(claim, report(claim.incident, jobs.journal(claim), error="gave up"))


@pytest.fixture
def filled(database, tmp_path):
    """Jobs in every state, files that belong to them, and files that do not."""
    folder = tmp_path / "data"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "inc_9.log").write_text("a long log\n")
    (folder / "children").mkdir()
    (folder / "children" / "1.json").write_text("{}")
    jobs = Jobs(open_engine(database))
    for number in range(5):
        submit(jobs, number)
        finish(jobs, jobs.claim("w"))
    submit(jobs, 5)
    jobs.suspend(jobs.claim("w"), "approval", None)
    submit(jobs, 6)
    jobs.suspend(jobs.claim("w"), "settling", None)
    submit(jobs, 7)
    assert jobs.claim("w")
    submit(jobs, 9, log_file=str(folder / "logs" / "inc_9.log"))
    return jobs, folder


def everything(engine):
    with engine.connect() as connection:
        return {
            each.name: [tuple(row) for row in connection.execute(select(each).order_by(*each.primary_key.columns))]
            for each in metadata.sorted_tables
        }


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_all_comes_back_in_either_database(filled, tmp_path, kind, request):
    jobs, folder = filled
    saved = backup.back_up(jobs.engine, folder, tmp_path / "saved.zip")
    assert (saved.rows["job"], saved.files) == (9, 1)
    assert (tmp_path / "saved.zip").stat().st_mode & 0o777 == 0o600
    assert backup.look(tmp_path / "saved.zip") == saved
    other = f"sqlite:///{tmp_path / 'other.db'}"
    if kind == "postgres":
        other = request.getfixturevalue("postgres").database()
    engine = open_engine(other)
    backup.restore(tmp_path / "saved.zip", engine, folder, "me", resume=True)
    before, after = everything(jobs.engine), everything(engine)
    assert after.pop("audit")[:-1] == before.pop("audit")
    assert after == before
    assert len(find(engine, text="trouble").rows) == 9
    again = Jobs(engine)
    submit(again, 10)
    assert again.claim("new") is not None
    assert list(audit.broken(engine)) == []


def test_what_replaces_other_jobs_is_found_by_its_words(filled, tmp_path):
    jobs, folder = filled
    backup.back_up(jobs.engine, folder, tmp_path / "saved.zip")
    other = Jobs(open_engine(f"sqlite:///{tmp_path / 'other.db'}"))
    for number in range(20):
        submit(other, number)
    assert len(find(other.engine, text="trouble").rows) == 20
    backup.restore(tmp_path / "saved.zip", other.engine, folder, "me", replace=True, resume=True)
    assert len(find(other.engine, text="trouble").rows) == 9


def test_what_had_not_ended_is_ended_and_logs_are_where_the_data_is_now(filled, tmp_path):
    jobs, folder = filled
    backup.back_up(jobs.engine, folder, tmp_path / "saved.zip")
    again = Jobs(open_engine(f"sqlite:///{tmp_path / 'other.db'}"))
    backup.restore(tmp_path / "saved.zip", again.engine, tmp_path / "moved", "me")
    assert again.counts() == {"error": 8, "waiting": 1}
    assert [row.waiting for row in again.list("approval")] == ["approval"]
    ended = [row for row in again.list() if row.error and "restored from a back-up" in row.error]
    assert len(ended) == 3
    assert len(find(again.engine, status="error", text="trouble").rows) == 8
    with again.engine.connect() as connection:
        incidents = connection.execute(select(table.c.incident)).scalars().all()
    assert str(tmp_path / "moved" / "logs" / "inc_9.log") in {json.loads(each).get("log_file") for each in incidents}
    assert (tmp_path / "moved" / "logs" / "inc_9.log").read_text() == "a long log\n"
    assert not (tmp_path / "moved" / "children").exists()


def test_it_is_of_one_moment_while_others_write(database, tmp_path):
    jobs = Jobs(open_engine(database))
    ended = threading.Event()

    def work():
        number = 0
        while not ended.is_set():
            submit(jobs, number)
            finish(jobs, jobs.claim("w"))
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not jobs.counts().get("done") and time.monotonic() < deadline:
            time.sleep(0.05)
        for number in range(3):
            backup.back_up(jobs.engine, tmp_path, tmp_path / f"{number}.zip")
    finally:
        ended.set()
        thread.join(30)
    for number in range(3):
        engine = open_engine(f"sqlite:///{tmp_path / f'{number}.db'}")
        saved = backup.restore(tmp_path / f"{number}.zip", engine, tmp_path / str(number), "me", resume=True)
        with engine.connect() as connection:
            submitted = connection.execute(
                select(func.count()).select_from(audit.audit).where(audit.audit.c.event == "submitted")
            ).scalar()
        assert submitted == saved.rows["job"] == saved.rows["search"] > 0


def changed(source, target, name, data):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for each in old.namelist():
            if each != name:
                new.writestr(each, old.read(each))
            elif data is not None:
                new.writestr(each, data(old.read(each)))


def manifest(**values):
    return lambda data: json.dumps({**json.loads(data), **values})


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        (
            "tables/job.jsonl",
            lambda data: data.replace(b"trouble 1", b"trouble 2"),
            RequestError,
            "job.jsonl in it is dam",
        ),
        ("tables/audit.jsonl", None, RequestError, "audit.jsonl is missing"),
        ("manifest.json", None, RequestError, "is no back-up"),
        ("manifest.json", manifest(format=99), RequestError, "newer version"),
        ("manifest.json", manifest(revisions=["9999"]), ConfigError, "newer version"),
    ],
)
def test_a_damaged_or_foreign_archive_touches_nothing(tmp_path, name, data, error, message):
    jobs = Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))
    for number in range(3):
        submit(jobs, number)
    backup.back_up(jobs.engine, tmp_path, tmp_path / "saved.zip")
    changed(tmp_path / "saved.zip", tmp_path / "bad.zip", name, data)
    before = everything(jobs.engine)
    with pytest.raises(error, match=message):
        backup.restore(tmp_path / "bad.zip", jobs.engine, tmp_path / "data", "me", replace=True)
    assert everything(jobs.engine) == before


def test_a_broken_trail_is_not_restored(tmp_path):
    jobs = Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))
    submit(jobs, 1)
    with jobs.engine.begin() as connection:
        connection.execute(update(audit.audit).values(actor="somebody else"))
    backup.back_up(jobs.engine, tmp_path, tmp_path / "saved.zip")
    with pytest.raises(RequestError, match="audit trail in it is broken"):
        backup.restore(tmp_path / "saved.zip", open_engine(f"sqlite:///{tmp_path / 'new.db'}"), tmp_path, "me")


def test_what_is_there_is_replaced_only_when_told(tmp_path):
    jobs = Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))
    submit(jobs, 1)
    backup.back_up(jobs.engine, tmp_path, tmp_path / "saved.zip")
    with pytest.raises(RequestError, match="exists"):
        backup.back_up(jobs.engine, tmp_path, tmp_path / "saved.zip")
    later = submit(jobs, 2)
    with pytest.raises(RequestError, match="--replace"):
        backup.restore(tmp_path / "saved.zip", jobs.engine, tmp_path, "me")
    backup.restore(tmp_path / "saved.zip", jobs.engine, tmp_path, "me", replace=True)
    assert later not in {row.id for row in jobs.list()}
    (tmp_path / "no.zip").write_text("no archive")
    with pytest.raises(RequestError, match="damaged, or no back-up"):
        backup.look(tmp_path / "no.zip")


def test_an_archive_of_an_older_version_is_brought_up(tmp_path, monkeypatch):
    """As it would have been made when there was only the first revision."""
    jobs = Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))
    job = submit(jobs, 1)
    backup.back_up(jobs.engine, tmp_path, tmp_path / "now.zip")
    with zipfile.ZipFile(tmp_path / "now.zip") as made:
        told = json.loads(made.read("manifest.json"))
        first = {"batch", "job", "journal", "audit"}
        old = open_engine(
            f"sqlite:///{tmp_path / 'old.db'}",
        )
        old.dispose()
        with zipfile.ZipFile(tmp_path / "old.zip", "w") as older:
            import hashlib

            told |= {"revisions": ["0001"], "rows": {name: told["rows"][name] for name in first}, "sha256": {}}
            for name in first:
                gone = {"place", "machine"} & set(told["columns"][name])
                at = [number for number, each in enumerate(told["columns"][name]) if each not in gone]
                lines = [json.loads(line) for line in made.read(f"tables/{name}.jsonl").splitlines()]
                data = "".join(json.dumps([line[number] for number in at]) + "\n" for line in lines).encode()
                told["columns"][name] = [told["columns"][name][number] for number in at]
                told["sha256"][f"tables/{name}.jsonl"] = hashlib.sha256(data).hexdigest()
                older.writestr(f"tables/{name}.jsonl", data)
            older.writestr("manifest.json", json.dumps(told))
    engine = open_engine(f"sqlite:///{tmp_path / 'new.db'}")
    backup.restore(tmp_path / "old.zip", engine, tmp_path, "me", resume=True)
    assert [row.id for row in find(engine, text="trouble").rows] == [job]
    with engine.connect() as connection:
        assert migrations.found(connection) == migrations.heads()


def test_the_trail_can_be_shortened_and_says_so(database):
    jobs = Jobs(open_engine(database))
    for number in range(6):
        submit(jobs, number)
    assert audit.shorten(jobs.engine, days=1) == 0
    with jobs.engine.begin() as connection:
        stamp = connection.execute(select(audit.audit.c.at).where(audit.audit.c.id == 4)).scalar()
    jobs.engine.dispose()
    moved = pytest.MonkeyPatch()
    try:
        from datetime import UTC, datetime, timedelta

        moved.setattr(audit, "now", lambda: datetime.fromtimestamp(stamp, UTC) + timedelta(days=1))
        assert audit.shorten(jobs.engine, days=1, most=2) == 2
        assert audit.shorten(jobs.engine, days=1) == 1
        assert audit.shorten(jobs.engine, days=1) == 0
    finally:
        moved.undo()
    assert list(audit.broken(jobs.engine)) == []
    assert [each.id for each in audit.entries(jobs.engine)] == [4, 5, 6, 7, 8]
    with jobs.engine.begin() as connection:
        connection.execute(audit.audit.delete().where(audit.audit.c.id == 4))
    assert list(audit.broken(jobs.engine)) == ["entry 4 is missing", "entry 5 does not follow the entry before it"]
