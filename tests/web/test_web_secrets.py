"""Secrets planted in every input are in no output: log, database, files, traces, metrics, events, answers, messages."""

from __future__ import annotations

import io
import json
import logging
import random
import string
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "connect"))

from hooked import hooks, proof
from standins import Say, standing_in
from web_service import serving

from devops_agent.errors import PlannerError
from devops_agent.inventory import Inventory, Place
from devops_agent.jobs import keys, traces
from devops_agent.trace import to_text
from devops_agent.trace.html import page
from devops_agent.web.loglines import Lines
from pipeline_parts import Wanting, step

CHANNELS = (
    "log", "multipart", "upload", "packed", "title", "label", "label name", "file name", "place", "by",
    "reason", "cause", "key", "bearer", "cookie", "header", "user agent", "request id", "idempotency", "origin",
    "host", "referer", "type", "query", "path", "search", "find", "field", "nothing", "hook body", "hook title",
    "hook query", "hook header", "hook name", "inventory", "planner", "breaks", "link", "csrf", "login",
    "broken json", "socket",
)  # fmt: skip
drawn = random.Random(7)
SECRETS = {name: "ghp_" + "".join(drawn.choices(string.ascii_letters + string.digits, k=36)) for name in CHANNELS}


class Telling(Wanting):
    """A planner that fails with what it was given, as libraries do."""

    def diagnose(self, digest, history, look):
        text = " ".join(each.text for each in digest.evidence)
        if "planner fails" in text:
            raise PlannerError(f"could not parse token={SECRETS['planner']}")
        if "planner breaks" in text:
            raise ZeroDivisionError(f"password={SECRETS['breaks']}")
        return super().diagnose(digest, history, look)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """All that came out of a service into which secrets were put in every way that there is; by where it came out."""
    folder = tmp_path_factory.mktemp("secrets")
    outputs = {}
    lines = {name: io.StringIO() for name in ("text log", "json log")}
    root, level = logging.getLogger(), logging.getLogger().level
    mine = []
    for stream, as_json in zip(lines.values(), (False, True), strict=True):
        mine.append(logging.StreamHandler(stream))
        mine[-1].setFormatter(Lines(as_json))
    for each in mine:
        root.addHandler(each)
    root.setLevel(logging.DEBUG)
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with standing_in() as receiver:
            receiver.answers = {"POST /told": Say(200)}
            target = {"kind": "webhook", "url": f"{receiver.address}/told", "secret": "a-secret-of-the-target"}
            steps = [[step(folder / "file")]]
            with serving(folder, planner=Telling(steps), hooks=hooks(), notify={"out": target}) as service:
                Plants(service, outputs).all()
                outputs["messages"] = json.dumps([each.json for each in receiver.asked])
            outputs |= written(folder)
    finally:
        for each in mine:
            root.removeHandler(each)
        root.setLevel(level)
    return outputs | {name: stream.getvalue() for name, stream in lines.items()}


def written(folder):
    """Everything in the data directory, the database as it lies with all that was in it."""
    return {f"file {each.name}": each.read_bytes().decode("latin-1") for each in folder.rglob("*") if each.is_file()}


class Plants:
    """Puts secrets in, and takes down what comes out."""

    def __init__(self, service, outputs):
        self.service, self.outputs, self.jobs = service, outputs, []
        places = service.backend.agent.places
        store = {"kind": "postgres", "url": f"postgresql://agent:{SECRETS['inventory']}@127.0.0.1:1/shop"}
        given = {"name": "shop", "datastores": {"main": store}}
        places["shop"] = Place(Inventory.model_validate(given), folder=service.file.parent, name="shop")
        self.admin = keys.create(service.backend.jobs.engine, "admin", "admin")[1]

    def call(self, method, path, **more):
        headers = {"X-API-Key": self.admin} | more.pop("headers", {})
        answer = self.service.http.request(method, path, headers=headers, **more)
        said = f"{answer.text}\n{dict(answer.headers)}"
        self.outputs[f"answer {method} {path[:40]} {len(self.outputs)}"] = said
        return answer

    def all(self):
        self.bodies()
        self.heads()
        self.hooked()
        assert len(self.jobs) >= 8
        for job in self.jobs:
            assert self.service.backend.wait(job, 30), job
        self.decisions()
        self.read()

    def job(self, answer):
        assert answer.status_code == 202, answer.text
        self.jobs.append(answer.json().get("batch") or answer.json()["job_id"])
        return self.jobs[-1]

    def bodies(self):
        s = SECRETS
        words = {"title": f"deploy with {s['title']}", "labels": {"env": s["label"], f"name {s['label name']}": "x"}}
        self.job(self.call("POST", "/api/v1/incidents", json={"log": f"ERROR: login with {s['log']} failed", **words}))
        files = {"log": (f"build-{s['file name']}.log", f"ERROR: token {s['multipart']} is wrong\nexit 1\n")}
        self.job(self.call("POST", "/api/v1/incidents", files=files))
        self.job(self.call("POST", "/incidents", files=files))
        plain = {"Content-Type": "text/plain"}
        self.job(self.call("POST", "/incidents", content=f"ERROR: {s['upload']} is wrong\n", headers=plain))
        import gzip

        packed = gzip.compress(f"ERROR: {s['packed']} refused\n".encode())
        self.job(self.call("POST", "/incidents", content=packed, headers={"Content-Type": "application/gzip"}))
        for text in ("planner fails", "planner breaks"):
            self.job(self.call("POST", "/process_errors_async", json={"errors": [{"context": f"ERROR: {text}"}]}))
            self.call("POST", "/process_errors", json={"errors": [{"context": f"ERROR: at once {text}"}]})
        shop = {"log": "ERROR: FATAL: password authentication failed for user agent", "place": "shop"}
        self.job(self.call("POST", "/api/v1/incidents", json=shop))
        self.call("POST", "/api/v1/incidents", json={"log": "x", "place": s["place"]})
        self.call("POST", "/process_errors", json={"errors": [{"context": "x", "place": s["place"]}]})
        self.call("POST", "/api/v1/incidents", json={"log": "x", s["field"]: "y"})
        broken = {"Content-Type": "application/json"}
        for path in ("/process_errors", "/api/v1/incidents"):
            self.call("POST", path, content=f'{{"log": "{s["broken json"]}', headers=broken)

    def heads(self):
        s = SECRETS
        for name, value in (
            ("X-API-Key", s["key"]), ("Authorization", f"Bearer {s['bearer']}"), ("X-Custom", s["header"]),
            ("User-Agent", s["user agent"]), ("Origin", f"https://{s['origin']}"), ("Referer", f"http://x/{s['referer']}"),
            ("Content-Type", s["type"]), ("Accept", s["type"]), ("X-CSRF-Token", s["csrf"]), ("Host", s["host"]),
            ("Cookie", f"devops_agent_session={s['cookie']}; devops_agent_form={s['cookie']}"),
            ("Last-Event-ID", s["header"]), ("If-None-Match", s["header"]),
        ):  # fmt: skip
            self.call("GET", "/api/v1/events", headers={name: value})
            self.call("POST", "/process_errors", headers={name: value}, content=b"x")
        headers = {"X-Request-ID": s["request id"], "Idempotency-Key": s["idempotency"]}
        answer = self.call("POST", "/api/v1/incidents", json={"log": "ERROR: it fails"}, headers=headers)
        self.job(answer)
        self.call("POST", "/api/v1/incidents", json={"log": "another"}, headers=headers)
        for path in (
            f"/api/v1/incidents?token={s['query']}", f"/api/v1/incidents?q={s['search']}", f"/health?{s['query']}",
            f"/dashboard/history?q={s['search']}", f"/api/v1/jobs/{s['path']}", f"/job_status/{s['path']}",
            f"/nothing/{s['nothing']}", f"/dashboard/jobs/{s['path']}", f"/api/v1/runbooks/{s['path']}",
            f"/dashboard/pattern?pattern={s['find']}", f"/links/{s['link']}", f"/api/v1/plans/{s['path']}",
            f"/api/v1/events/ws?after={s['socket']}", f"/process_errors?wait={s['query']}",
        ):  # fmt: skip
            self.call("GET", path)
        self.call("POST", "/dashboard/login", data={"token": s["csrf"], "key": s["login"]})

    def hooked(self):
        s = SECRETS
        said = {"id": "1", "state": "firing", "title": s["hook title"], "log": f"ERROR: {s['hook body']}", "team": "x"}
        raw = json.dumps({"alert": said}).encode()
        headers = {"Content-Type": "application/json", "X-More": s["hook header"], **proof("generic", raw)}
        taken = self.call("POST", f"/hooks/generic?more={s['hook query']}", content=raw, headers=headers)
        assert taken.status_code in (200, 202), taken.text
        self.call("POST", f"/hooks/generic?token={s['hook query']}", content=raw)
        self.call("POST", f"/hooks/{s['hook name']}", content=raw)
        wrong = {"Authorization": f"Bearer {s['hook header']}", "X-Gitlab-Token": s["hook header"]}
        for name in ("generic", "gitlab", "github"):
            self.call("POST", f"/hooks/{name}", content=raw, headers=wrong)

    def decisions(self):
        s, job = SECRETS, self.jobs[0]
        said = {"by": s["by"], "reason": f"password={s['reason']}"}
        assert self.call("POST", f"/jobs/{job}/approve", json={**said, "fingerprint": s["field"]}).status_code == 409
        assert self.call("POST", f"/jobs/{job}/approve", json=said).status_code == 200
        assert self.call("POST", f"/jobs/{self.jobs[1]}/deny", json=said).status_code == 200
        assert self.service.backend.wait(job, 30)
        self.call("POST", f"/jobs/{job}/cause", json={"cause": s["cause"], "reason": said["reason"]})
        self.call("POST", f"/jobs/{job}/cause", json={"cause": "disk_full", "reason": said["reason"]})
        self.call("POST", f"/api/v1/jobs/{self.jobs[2]}/cancel", json={"reason": said["reason"]})

    def read(self):
        for path in ("incidents", "events", "plans", "statistics", "audit?limit=1000", "keys"):
            assert self.call("GET", f"/api/v1/{path}").status_code == 200
        for path in (
            "/metrics",
            "/stats",
            "/dashboard",
            "/dashboard/history",
            "/dashboard/audit",
            "/dashboard/statistics",
        ):
            assert self.call("GET", path).status_code == 200
        for row in self.service.backend.jobs.list(limit=200):
            paths = (f"/api/v1/jobs/{row.id}", f"/api/v1/jobs/{row.id}/report", f"/api/v1/incidents/{row.id}")
            pages = (f"/dashboard/jobs/{row.id}", f"/dashboard/jobs/{row.id}/log.txt", f"/jobs/{row.id}/report.md")
            for path in (*paths, *pages, f"/job_status/{row.id}"):
                self.call("GET", path)
            made = traces.of_job(self.service.backend.jobs, row.id)
            self.outputs[f"trace of {row.id}"] = "\n".join(to_text(made)) + page(made)


ECHOED = ("request id", "search", "find")
"""What comes back to who sent it: the request's own name in a header, the words in the form that asked for them."""


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_secret_stays_where_it_was_put(told, channel):
    assert len(told) > 100
    found = [name for name, text in told.items() if SECRETS[channel] in text]
    if channel in ECHOED:
        found = [name for name in found if not name.startswith("answer")]
    assert found == []


def test_what_was_looked_through_is_what_came_out(told):
    everything = "\n".join(told.values())
    assert everything.count("[redacted:") > 100
    assert "CREATE TABLE" in everything  # the database
    assert "request failed" in told["text log"] + everything or "job_" in told["text log"]
    assert '"level": "' in told["json log"]
    assert "incident." in told["messages"]
    assert "devops_agent_http_requests" in everything
