"""A connection is refused: the server is down or cannot start, or the client asks elsewhere. One log, many causes."""

import sys

import pytest

from act.handled import APP, Site, done, eventually, free_port

REFUSED = (
    "2026/11/22 10:00:00 [error] 71#71: *1 connect() failed (111: Connection refused) while connecting to upstream, "
    'client: 127.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:{}/", host: "127.0.0.1:{}"\n'
)
CLIENT = """import os, urllib.request
from frame import serve
import frame
url = 'http://127.0.0.1:' + os.environ['BACK_PORT'] + '/'
frame.work = lambda: urllib.request.urlopen(url, timeout=2).read().decode()
serve(os.environ['PORT'])
"""


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.front, site.back, site.wrong = free_port(), free_port(), free_port()
    site.write("frame.py", APP)
    site.write("back.py", "import sys, frame\nframe.work = lambda: 'shop'\nframe.serve(sys.argv[1])\n")
    site.write("front.py", CLIENT)
    yield site
    site.close()


def build(site, asks, template=None, back="exec {python} back.py {port}"):
    site.service(
        "back", back.format(python=sys.executable, port=site.back), ports=[site.back], health={"tcp": site.back}
    )
    site.write("front.env", f"PORT={site.front}\nBACK_PORT={asks}\n")
    more = {"depends_on": ["back"]}
    if template:
        site.write("front.example", f"PORT=8080\nBACK_PORT={template}\n")
        more = {"templates": ["front.example"]}
    health = {"http": f"http://127.0.0.1:{site.front}/"}
    run = f"set -a; . ./front.env; exec {sys.executable} front.py"
    site.service("front", run, ports=[site.front], health=health, config=["front.env"], **more)
    assert eventually(lambda: site.get(site.front))


def log(site, port):
    return REFUSED.format(port, site.front)


def test_a_server_that_is_down_is_started(site):
    build(site, asks=site.back)
    assert eventually(lambda: site.get(site.front) == 200)
    site.sv("down", "back")
    report = site.handle(log(site, site.back))
    assert (report["status"], done(report)) == ("resolved", ["start_service"])
    assert site.get(site.front) == 200


@pytest.mark.parametrize("template", [False, True])
def test_a_client_that_asks_at_the_wrong_port_is_put_right(site, template):
    build(site, asks=site.wrong, template=site.back if template else None)
    assert eventually(lambda: site.get(site.back) == 200)
    keeper = site.pid("back")
    report = site.handle(log(site, site.wrong))
    assert (report["status"], done(report)) == ("resolved", ["redirect_address", "restart_service"]), report["summary"]
    assert site.get(site.front) == 200
    assert site.pid("back") == keeper
    assert f"BACK_PORT={site.back}\n" in (site.folder / "front.env").read_text()


def test_where_the_template_names_a_port_of_nobody_a_person_is_asked(site):
    build(site, asks=site.wrong, template=free_port())
    before = (site.folder / "front.env").read_text()
    report = site.handle(log(site, site.wrong))
    assert (report["status"], done(report)) == ("needs_person", [])
    assert (site.folder / "front.env").read_text() == before


def test_a_server_that_cannot_start_is_no_success(site):
    build(site, asks=site.back, back="sleep 0.3; echo 'broken.conf: bad value'; exit 1 # {python} {port}")
    report = site.handle(log(site, site.back))
    assert report["status"] != "resolved"
    assert site.get(site.front) == 500


def test_a_wrong_port_in_a_comment_is_not_the_cause(site):
    build(site, asks=site.back)
    site.sv("down", "back")
    site.write("front.env", f"# once: {site.wrong}\nPORT={site.front}\nBACK_PORT={site.back}\n")
    report = site.handle(log(site, site.wrong))
    assert "redirect_address" not in done(report)
