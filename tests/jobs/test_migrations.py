"""Databases are made whole, taken over and changed without losing anything; newer ones are refused."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from devops_agent.errors import ConfigError
from devops_agent.jobs import migrations
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import make_engine, metadata, open_engine

FIRST = Path(__file__).with_name("first_tables.sql")
OLD_JOB = (
    "INSERT INTO batch VALUES ('job_1', 5.0, 'http', 1)",
    "INSERT INTO job (id, batch, number, status, due, created, title, incident, options, progress, fence, tries, "
    "version) VALUES ('job_1', 'job_1', 1, 'queued', 5.0, 5.0, 'disk full', '{\"id\": \"inc_1\", \"log\": \"no "
    "space\"}', '{}', 0, 0, 0, 1)",
)


def by_revisions(url):
    """A database that was made by running all revisions one after the other."""
    engine = make_engine(url)
    with engine.begin() as connection:
        migrations._upgrade(connection)
    return engine


def schema(engine):
    """Everything that can be compared between two databases of a kind."""
    there = inspect(engine)
    names = there.get_table_names()
    columns = {name: sorted(str(sorted(each.items())) for each in there.get_columns(name)) for name in names}
    keys = {name: there.get_pk_constraint(name)["constrained_columns"] for name in names}
    indexes = {name: sorted(map(written, there.get_indexes(name))) for name in names}
    unique = {name: sorted(str(sorted(each.items())) for each in there.get_unique_constraints(name)) for name in names}
    if engine.dialect.name != "sqlite":
        return columns, keys, indexes, unique
    with engine.connect() as connection:
        more = text("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')")
        return columns, keys, indexes, unique, sorted(connection.execute(more).scalars())


def written(index):
    """An index as text, with the condition it has in words."""
    conditions = {key: str(value) for key, value in index.get("dialect_options", {}).items()}
    return str(sorted({**index, "dialect_options": conditions}.items()))


def test_heads_are_read_without_alembic_as_alembic_reads_them():
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    assert set(ScriptDirectory.from_config(config).get_heads()) == migrations.heads()


def test_a_new_database_has_what_all_revisions_make(database, tmp_path, request):
    made = open_engine(database)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    if database.startswith("postgresql"):
        other = request.getfixturevalue("postgres").database()
    migrated = by_revisions(other)
    assert schema(made) == schema(migrated)
    with migrated.connect() as connection:
        assert migrations.found(connection) == migrations.heads()
        ours = [each for each in compare_metadata(MigrationContext.configure(connection), metadata) if known(each)]
        assert ours == []


def known(difference):
    """Whether a difference is about a table of ours: a full-text index has tables and columns of its own."""
    kind, what = difference[0], difference[-1]
    if kind == "remove_table":
        return what.name in metadata.tables
    return not (kind in ("remove_index", "remove_column") and "vector" in what.name)


def test_the_first_databases_are_taken_over_with_what_is_in_them(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    old = create_engine(url)
    with old.begin() as connection:
        for statement in (*FIRST.read_text().split(";\n"), *OLD_JOB):
            if statement.strip():
                connection.execute(text(statement))
    old.dispose()
    jobs = Jobs(open_engine(url))
    assert [row.title for row in jobs.list()] == ["disk full"]
    assert jobs.claim("me").incident.log == "no space"
    reference = open_engine(f"sqlite:///{tmp_path / 'new.db'}")
    assert {table: {c["name"] for c in inspect(jobs.engine).get_columns(table)} for table in metadata.tables} == {
        table: {c["name"] for c in inspect(reference).get_columns(table)} for table in metadata.tables
    }


def test_a_database_without_revisions_is_changed_once_by_several_processes(database):
    engine = make_engine(database)
    with engine.begin() as connection:
        for statement in FIRST.read_text().split(";\n")[: 5 if engine.dialect.name == "sqlite" else 0]:
            connection.execute(text(statement))
    script = "import sys; from devops_agent.jobs.tables import open_engine; open_engine(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", script, database], stderr=subprocess.PIPE) for _ in range(4)]
    assert [(each.communicate(timeout=60)[1], each.returncode) for each in started] == [(b"", 0)] * 4
    with engine.connect() as connection:
        assert migrations.found(connection) == migrations.heads()


@pytest.mark.parametrize("file", sorted((migrations.FOLDER / "versions").glob("0*.py")), ids=lambda file: file.stem)
def test_revisions_only_add_so_that_the_version_before_goes_on(file):
    called = [each for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.Call)]
    for each in called:
        name = getattr(each.func, "attr", "")
        assert not name.startswith(("drop_", "alter_", "rename_", "batch_alter")), name
        if name == "add_column":
            given = {word.arg: getattr(word.value, "value", None) for word in each.args[1].keywords}
            assert given.get("nullable", True) or "server_default" in given, ast.unparse(each)


def test_processes_of_the_version_before_go_on_after_an_upgrade(database):
    engine = make_engine(database)
    with engine.begin() as connection:
        migrations._upgrade(connection, ("0060",))
        connection.execute(text(OLD_JOB[0]))
        connection.execute(text(OLD_JOB[1]))
    later = [each.replace("job_1", "job_2").replace("inc_1", "inc_2") for each in OLD_JOB]
    jobs = Jobs(open_engine(database))
    with engine.begin() as connection:  # it submits, and ends, as it knows it
        for statement in later:
            connection.execute(text(statement))
        ended = "UPDATE job SET status = 'done', outcome = 'resolved', cause = 'disk_full' WHERE id = 'job_2'"
        connection.execute(text(ended))
    assert {row.id: row.status for row in jobs.list()} == {"job_1": "queued", "job_2": "done"}
    assert jobs.claim("me").id == "job_1"


def test_a_newer_database_is_refused(database):
    engine = open_engine(database)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('9999')"))
    with pytest.raises(ConfigError, match=r"newer version of devops_agent \(revision 9999\)"):
        open_engine(database)


def test_alembic_is_loaded_only_to_change_something(tmp_path):
    script = (
        "import sys; from devops_agent.jobs.tables import open_engine; url = sys.argv[1]; open_engine(url); "
        "open_engine(url); print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path / 'jobs.db'}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == "False\n"
