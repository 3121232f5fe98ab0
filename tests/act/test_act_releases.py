"""A new release fails: the link goes back to the one before, unless something else is the cause."""

import os
import sys
import time

import pytest

from act.handled import APP, Site, done, eventually, free_port

LOG = """Traceback (most recent call last):
  File "app.py", line 3, in work
TypeError: unsupported operand type(s) for +: 'int' and 'str'
"""


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.port = free_port()
    for version, work in (("1.0", "'shop'"), ("1.1", "1 + 'shop'")):
        site.write(f"releases/{version}/frame.py", APP)
        site.write(
            f"releases/{version}/app.py",
            f"import os, frame\nframe.work = lambda: {work}\nframe.serve(os.environ['PORT'])\n",
        )
    (tmp_path / "current").symlink_to("releases/1.1")
    site.write("app.env", f"PORT={site.port}\n")
    os.utime(tmp_path / "app.env", (time.time() - 3600,) * 2)
    run = f"set -a; . ./app.env; exec {sys.executable} current/app.py"
    releases = {"current": "current", "all": "releases"}
    health = {"http": f"http://127.0.0.1:{site.port}/", "status": 200}
    site.service("app", run, ports=[site.port], health=health, config=["app.env"], releases=releases)
    assert eventually(lambda: site.get(site.port)) == 500
    yield site
    site.close()


def test_the_release_before_is_used_again(site):
    report = site.handle(LOG)
    assert (report["status"], done(report)) == ("resolved", ["use_release", "restart_service"]), report["summary"]
    assert os.readlink(site.folder / "current") == "releases/1.0"
    assert site.get(site.port) == 200


def test_a_link_to_a_release_that_is_gone_leads_to_one_that_is_there(site):
    (site.folder / "current").unlink()
    (site.folder / "current").symlink_to("releases/1.2")
    site.write("releases/1.1/app.py", (site.folder / "releases/1.0/app.py").read_text())
    site.sv("restart", "app")
    said = f"python3: can't open file '{site.folder}/current/app.py': [Errno 2] No such file or directory\n"
    report = site.handle(said)
    assert (report["status"], done(report)) == ("resolved", ["use_release", "restart_service"]), report["summary"]
    assert os.readlink(site.folder / "current") == "releases/1.1"


def test_where_the_one_before_fails_too_the_link_comes_back(site):
    source = (site.folder / "releases/1.1/app.py").read_text()
    site.write("releases/1.0/app.py", source)
    report = site.handle(LOG)
    assert report["status"] != "resolved"
    assert os.readlink(site.folder / "current") == "releases/1.1"


def test_a_configuration_that_was_changed_later_is_suspected_first(site):
    site.write("app.env", f"PORT={site.port}\nNEW=1\n")
    os.utime(site.folder / "app.env", (time.time() + 5,) * 2)
    report = site.handle(LOG)
    assert (report["status"], done(report)) == ("needs_person", [])


def test_an_older_release_in_use_is_nobodys_fault(site):
    site.write("releases/1.2/app.py", "")
    report = site.handle(LOG)
    assert done(report) == []
    assert os.readlink(site.folder / "current") == "releases/1.1"
