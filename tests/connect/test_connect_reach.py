"""Neither a hook's API, nor what it redirects to, nor a target may be a metadata service, whatever name leads there."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from devops_agent.connect import channels, fetch
from devops_agent.connect.fetch import Door, NotFetched
from devops_agent.connect.message import Message
from devops_agent.connect.settings import Hook, Target, read
from devops_agent.errors import ConfigError
from devops_agent.tools import outward

SECRET = "a-secret-of-enough-characters"


@pytest.fixture
def sends():
    """A server that redirects to an innocent name, or answers."""

    class Sends(BaseHTTPRequestHandler):
        def do_GET(self):
            away = self.path == "/away"
            self.send_response(302 if away else 200)
            if away:
                self.send_header("Location", "http://innocent.example/latest/meta-data/")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"body")

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Sends)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def door(api, **more):
    return Door(Hook.model_validate({"kind": "gitlab", "secret": [SECRET], "api": api, "token": SECRET, **more}))


def test_an_api_or_storage_that_leads_there_is_not_asked(misled, sends):
    with pytest.raises(NotFetched, match="never asked"):
        door("http://innocent.example").text("latest/meta-data", 100)
    with pytest.raises(NotFetched, match="never asked"):
        door(sends, storage_hosts=["innocent.example"]).text("away", 100)
    assert "169.254.169.254" not in misled
    assert door(sends).text("here", 100) == (b"body", 0)


def test_who_answers_is_looked_at_too(sends, monkeypatch):
    def as_there(address):
        return address == "127.0.0.1" or outward.is_metadata(address)

    monkeypatch.setattr(fetch, "is_metadata", as_there)  # as where the name has led elsewhere a moment ago
    with pytest.raises(NotFetched, match="nothing of it is read"):
        door(sends).text("here", 100)


def test_a_target_that_leads_there_is_not_told(misled):
    target = Target.model_validate({"kind": "webhook", "url": "http://innocent.example/x", "secret": SECRET})
    said = Message("resolved", "title", "text", "text")
    with pytest.raises(channels.NotSent, match="never asked") as refused:
        channels.by_webhook(target, said, "1")
    assert not refused.value.again
    assert "169.254.169.254" not in misled


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "[fd00:ec2::254]", "metadata.google.internal"])
def test_such_addresses_are_refused_in_the_settings(host):
    with pytest.raises(ConfigError, match=r"notify\.out: .*never asked"):
        read({}, {"out": {"kind": "webhook", "url": f"http://{host}/", "secret": SECRET}})
    with pytest.raises(ConfigError, match=r"hooks\.in\.api: .*never asked"):
        read({"in": {"kind": "gitlab", "secret": SECRET, "api": f"http://{host}/"}}, {})
