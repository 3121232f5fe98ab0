"""A login is refused: the configuration has an old secret, or the server another one than the store; none is shown."""

import json
import sys

import pytest

from act.handled import APP, Site, done, eventually, free_port

SERVER = """import os, frame
def work():
    if os.environ['DB_PASSWORD'] != open('server.secret').read():
        raise PermissionError('password authentication failed for user "app"')
    return 'shop'
frame.work = work
frame.serve(os.environ['PORT'])
"""
LOG = 'psycopg2.OperationalError: connection to server failed: FATAL:  password authentication failed for user "app"\n'


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.port = free_port()
    site.write("frame.py", APP)
    site.write("app.py", SERVER)
    site.inventory["secrets"] = {"directory": "secrets"}
    yield site
    site.close()


def build(site, *, configured, stored, server, user="app"):
    site.write("secrets/db_password", stored + "\n")
    site.write("server.secret", server)
    site.write("app.env", f"PORT={site.port}\nDB_USER={user}\nDB_PASSWORD={configured}\n", 0o600)
    health = {"http": f"http://127.0.0.1:{site.port}/"}
    run = f"set -a; . ./app.env; exec {sys.executable} app.py"
    site.service("app", run, ports=[site.port], health=health, config=["app.env"])
    assert eventually(lambda: site.get(site.port))


def test_an_old_secret_is_replaced_and_never_shown(site):
    build(site, configured="old-pa55", stored="n3w-pa55", server="n3w-pa55")
    report = site.handle(LOG)
    assert (report["status"], done(report)) == ("resolved", ["set_value", "restart_service"]), report["summary"]
    assert site.get(site.port) == 200
    assert (site.folder / "app.env").stat().st_mode & 0o777 == 0o600
    assert "n3w-pa55" not in json.dumps(report)
    assert "old-pa55" not in json.dumps(report)


def test_the_right_secret_that_is_refused_is_for_a_person(site):
    build(site, configured="n3w-pa55", stored="n3w-pa55", server="other")
    report = site.handle(LOG)
    assert (report["status"], done(report)) == ("needs_person", [])


def test_where_the_stored_one_does_not_help_either_the_old_one_comes_back(site):
    build(site, configured="old-pa55", stored="n3w-pa55", server="other")
    before = (site.folder / "app.env").read_text()
    report = site.handle(LOG)
    assert report["status"] != "resolved"
    assert site.get(site.port) == 500
    assert (site.folder / "app.env").read_text() == before or report["attempts"][0]["verification"]["cause_gone"]


def test_a_login_of_another_user_is_not_this_service(site):
    build(site, configured="old-pa55", stored="n3w-pa55", server="old-pa55", user="shop")
    before = (site.folder / "app.env").read_text()
    report = site.handle(LOG)
    assert done(report) == []
    assert (site.folder / "app.env").read_text() == before
