"""A refused push: ours go on top of what others pushed, never over it; and pending migrations."""

import os
import subprocess

import pytest

from act.handled import Site, done
from act.places import do, toolbox
from devops_agent.errors import NotAllowed

REJECTED = """To ../origin.git
 ! [rejected]        main -> main (fetch first)
error: failed to push some refs to '../origin.git'
"""


def git(folder, *words, ok=True):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    named = ("-c", "user.name=a", "-c", "user.email=a@example.test", "-c", "init.defaultBranch=main")
    argv = ["git", *named, *words]
    ended = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert not ok or ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    git(tmp_path, "init", "-q", "--bare", "origin.git")
    for name in ("work", "mate"):
        git(tmp_path, "clone", "-q", "origin.git", name)
        git(tmp_path / name, "config", "user.name", name)
        git(tmp_path / name, "config", "user.email", f"{name}@example.test")
        if name == "work":
            commit(site, "work", "a.txt", "one")
            git(tmp_path / "work", "push", "-q", "origin", "HEAD:main")
    site.inventory["repositories"] = {"work": {"path": "work", "branch": "main"}}
    site.inventory["checks"] = {"pushed": {"command": ["sh", "pushed"]}}
    site.write("pushed", "test $(git -C work rev-parse HEAD) = $(git -C origin.git rev-parse main)\n")
    yield site
    site.close()


def commit(site, name, file, text):
    (site.folder / name / file).write_text(text)
    git(site.folder / name, "add", ".")
    git(site.folder / name, "commit", "-qm", f"{name}: {file}")


def pushed_by_mate(site, file):
    commit(site, "mate", file, "theirs")
    git(site.folder / "mate", "push", "-q", "origin", "HEAD:main")
    return git(site.folder / "mate", "rev-parse", "HEAD")


def test_ours_go_on_top(site):
    theirs = pushed_by_mate(site, "b.txt")
    commit(site, "work", "c.txt", "ours")
    report = site.handle(REJECTED)
    assert (report["status"], done(report)) == ("resolved", ["git_rebase", "git_push"]), report["summary"]
    assert theirs in git(site.folder / "origin.git", "rev-list", "main")
    assert git(site.folder / "origin.git", "show", "main:c.txt") == "ours"


def test_a_conflict_is_given_up_and_the_tree_is_as_before(site):
    pushed_by_mate(site, "a.txt")
    commit(site, "work", "a.txt", "ours")
    before = git(site.folder / "work", "rev-parse", "HEAD")
    report = site.handle(REJECTED)
    assert report["status"] != "resolved"
    assert git(site.folder / "work", "rev-parse", "HEAD") == before
    assert git(site.folder / "work", "status", "--porcelain") == ""
    assert (site.folder / "work/a.txt").read_text() == "ours"
    assert not (site.folder / "work/.git/rebase-merge").exists()


def test_changes_that_are_not_committed_are_left_alone(site):
    pushed_by_mate(site, "b.txt")
    commit(site, "work", "c.txt", "ours")
    (site.folder / "work/a.txt").write_text("being edited")
    report = site.handle(REJECTED)
    assert (report["status"], done(report)) == ("needs_person", [])
    assert (site.folder / "work/a.txt").read_text() == "being edited"


def test_what_was_removed_from_the_remote_does_not_come_back(site):
    commit(site, "work", "secret.txt", "leaked")
    git(site.folder / "work", "push", "-q", "origin", "HEAD:main")
    git(site.folder / "mate", "fetch", "-q")
    git(site.folder / "mate", "reset", "-q", "--hard", "origin/main~1")
    commit(site, "mate", "b.txt", "theirs")
    git(site.folder / "mate", "push", "-q", "--force", "origin", "HEAD:main")
    commit(site, "work", "c.txt", "ours")
    report = site.handle(REJECTED)
    assert report["status"] != "resolved"
    assert "secret.txt" not in git(site.folder / "origin.git", "ls-tree", "--name-only", "main")


def test_a_hook_that_refuses_is_for_a_person(site):
    commit(site, "work", "c.txt", "ours")
    hook = site.folder / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    report = site.handle(" ! [remote rejected] main -> main (pre-receive hook declined)\n" + REJECTED[-60:])
    assert (report["status"], done(report)) == ("needs_person", [])


MISSING = 'psycopg2.errors.UndefinedTable: relation "invoices" does not exist\n'


@pytest.fixture
def database(tmp_path):
    site = Site(tmp_path)
    site.write("status", "test -e applied && echo '0001 applied' || echo '0001 pending'\n")
    site.write("apply", "touch applied\n")
    site.inventory["migrations"] = {"status": ["sh", "status"], "apply": ["sh", "apply"]}
    site.inventory["checks"] = {"table": {"command": ["test", "-e", "table"]}}
    yield site
    site.close()


def test_pending_migrations_are_applied(database):
    database.write("apply", "touch applied table\n")
    report = database.handle(MISSING)
    assert (report["status"], done(report)) == ("resolved", ["apply_migrations"]), report["summary"]


def test_migrations_that_do_not_help_are_no_success(database):
    report = database.handle(MISSING)
    assert report["status"] != "resolved"


@pytest.mark.parametrize(
    ("said", "unfinished"),
    [
        ("0003 pending", False),
        ("dirty: 0003\npending: 0003", True),
        ("0003 half applied\n0004 pending", True),
        ("0003 failed\n0004 pending", True),
        ("dirty: false, pending: 1", False),
        ("0 failed, 1 pending", False),
        ("no failed migrations; 0003 pending", False),
    ],
)
def test_what_was_applied_in_part_is_not_gone_on_with(database, said, unfinished):
    database.write("told", said)
    database.inventory["migrations"]["status"] = ["cat", "told"]
    box = toolbox(database.folder, migrations=database.inventory["migrations"])
    assert box.probe("migration_status", {})["unfinished"] is unfinished
    if unfinished:
        with pytest.raises(NotAllowed, match="in part"):
            do(box, "apply_migrations")


def test_migrations_that_somebody_applies_already_are_waited_for(database):
    database.write("apply", "echo run >> runs; sleep 5; touch applied table\n")
    with subprocess.Popen(["sh", "apply"], cwd=database.folder):
        report = database.handle(MISSING)
    assert (report["status"], done(report)) == ("resolved", ["wait_until"]), report["summary"]
    assert (database.folder / "runs").read_text() == "run\n"


@pytest.mark.parametrize(
    ("text", "applied"),
    [
        ("ALTER TABLE invoices DROP COLUMN amount;\n", False),
        ("def upgrade():\n    op.drop_table('old')\n", False),
        ("-- DROP TABLE would lose data\nALTER TABLE invoices ADD note text;\n", True),
        ("def upgrade():\n    op.add_column('a', b)\n\ndef downgrade():\n    op.drop_column('a', 'b')\n", True),
    ],
)
def test_a_migration_that_throws_data_away_is_for_a_person(database, text, applied):
    database.write("versions/0001_amounts.txt", text)
    database.write("status", "test -e applied && echo '0001_amounts applied' || echo '0001_amounts pending'\n")
    database.write("apply", "touch applied table\n")
    report = database.handle(MISSING)
    assert (report["status"] == "resolved") is applied, report["summary"]
    assert (database.folder / "applied").exists() is applied


def test_where_all_are_applied_a_person_looks(database):
    database.write("applied", "")
    report = database.handle(MISSING)
    assert (report["status"], done(report)) == ("needs_person", [])
