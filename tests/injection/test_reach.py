"""Names that lead to a metadata service: nobody is asked, from here or from another machine, nor after a redirect."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Prefix
from devops_agent.tools import reach
from devops_agent.tools.hosts import connect

METADATA = "169.254.169.254"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_there_is_not_asked_from_here(misled, scheme):
    host = connect("local")
    seen = reach.http(host, f"{scheme}://innocent.example/latest/meta-data/", 2.0)
    assert (seen["status"], seen["body"]) == (None, "")
    assert "never asked" in seen["error"]
    seen = reach.tcp(host, "innocent.example", 80, 2.0)
    assert not seen["open"]
    assert "never asked" in seen["error"]
    assert METADATA not in misled


def test_other_names_are_asked_and_redirects_are_left_to_who_asked(misled):
    class Sends(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", f"http://{METADATA}/latest/meta-data/")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Sends)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        seen = reach.http(connect("local"), f"http://localhost:{server.server_port}/", 5.0)
        assert seen["status"] == 302
        assert reach.tcp(connect("local"), "localhost", server.server_port)["open"]
    finally:
        server.shutdown()
        server.server_close()
    assert METADATA not in misled
    assert "127.0.0.1" in misled


PROGRAM = """#!{python}
import sys
with open({seen!r}, "a") as out:
    print(*sys.argv, sep="\\t", file=out)
{body}
"""


@pytest.fixture
def there(tmp_path):
    """A host whose getent and curl are ours, and what they were asked."""
    seen = tmp_path / "seen"

    def made(getent, curl="sys.exit(7)"):
        for name, body in (("getent", getent), ("curl", curl)):
            if body is not None:
                file = tmp_path / "bin" / name
                file.parent.mkdir(exist_ok=True)
                file.write_text(PROGRAM.format(python=sys.executable, seen=str(seen), body=body))
                file.chmod(0o755)
        return connect(Prefix(command=["env", f"PATH={tmp_path / 'bin'}"]))

    made.said = lambda: seen.read_text().splitlines() if seen.exists() else []
    return made


def asked_curl(there):
    return [line for line in there.said() if Path(line.split("\t")[0]).name == "curl"]


@pytest.mark.parametrize("address", [METADATA, "fd00:ec2::254", "::ffff:169.254.169.254"])
def test_a_name_that_leads_there_from_another_machine_is_not_asked(there, address):
    host = there(f"print({address!r}, 'STREAM', sys.argv[2])\nprint('10.0.0.1 STREAM')")
    assert "never asked" in reach.http(host, "http://innocent.example/latest/")["error"]
    assert "never asked" in reach.tcp(host, "innocent.example", 80)["error"]
    assert there.said()
    assert asked_curl(there) == []


def test_another_machine_asks_the_addresses_that_were_looked_at(there):
    host = there(
        "print('10.0.0.1 STREAM x')\nprint('fd01::1 STREAM')", "print('body\\n--devops-agent-status--200 10.0.0.1')"
    )
    assert reach.http(host, "http://shop.example:8000/")["status"] == 200
    assert "--resolve\tshop.example:8000:10.0.0.1,[fd01::1]" in asked_curl(there)[0]
    assert "-L" not in asked_curl(there)[0].split("\t")


def test_where_nobody_can_look_before_what_came_from_there_is_not_told(there):
    host = there("sys.exit(2)", f"print('credentials\\n--devops-agent-status--200 {METADATA}')")
    seen = reach.http(host, "http://innocent.example/latest/")
    assert (seen["status"], seen["body"]) == (None, "")
    assert "credentials" not in str(seen)


@pytest.mark.parametrize("url", [f"http://{METADATA}/", "http://2852039166/", "http://[::ffff:a9fe:a9fe]/"])
def test_addresses_are_refused_as_they_stand(there, url):
    host = there("sys.exit(2)")
    assert "not allowed" in reach.http(host, url)["error"]
    assert "not allowed" in reach.http(connect("local"), url)["error"]
    assert asked_curl(there) == []
    with pytest.raises(NotAllowed):
        reach._pinned(host, "-x", 80)
