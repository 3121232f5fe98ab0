"""The planner that needs no model takes whole values from a log too: its addresses are asked for with the same care."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.inventory import Place
from devops_agent.model import Attempt
from devops_agent.pipeline import handle
from devops_agent.run import MemoryJournal, Run, attempts


@pytest.fixture
def port() -> Iterator[int]:
    """A server that tells secrets to whoever asks."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"the crown jewels")

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


def walked(log: str, folder: Path) -> Attempt:
    settings = Settings(data_dir=folder / "data", planner="runbooks", settle_seconds=0)
    agent = bootstrap.build_agent(settings)
    journal = MemoryJournal()
    place: Place = next(iter(agent.places.values()))
    handle(bootstrap.make_incident(log, settings), agent, place, Run(journal, patience=0.0, dry_run=True))
    return attempts(journal)[0]


def test_of_an_address_that_only_a_log_names_the_status_is_told_and_not_the_content(port: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{port}/v1/kv/?recurse"
    made = walked(f"ERROR GET {url} failed: 500 Internal Server Error\nexit code 1\n", tmp_path)
    assert made.diagnosis is not None
    looked = [each for each in made.diagnosis.looked if each.source == "http_check"]
    assert [each.data["status"] for each in looked if each.data] == [500]
    assert "crown jewels" not in made.model_dump_json()


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "metadata.google.internal"])
def test_a_metadata_service_is_not_asked(host: str, tmp_path: Path) -> None:
    url = f"http://{host}/latest/meta-data/iam"
    made = walked(f"ERROR GET {url} failed: 500 Internal Server Error\nexit code 1\n", tmp_path)
    assert made.diagnosis is not None
    looked = [each for each in made.diagnosis.looked if each.source in ("http_check", "tcp_check")]
    assert all(each.data is None for each in looked)
    assert any("never asked" in each.text for each in looked)
