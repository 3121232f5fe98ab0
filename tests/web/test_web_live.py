"""Streams of events: told as they happen, resumed after the last number, capped, ended with the job and the service."""

from __future__ import annotations

import json
import threading
import time

import pytest
from simple_websocket import Client, ConnectionClosed, ConnectionError
from web_service import serving

from devops_agent.policy import Fit, Policy
from devops_agent.web import backend as behind
from devops_agent.web.v1 import events as live

SSE = {"Accept": "text/event-stream"}


def read(lines, until=None, most=1000):
    """Events of a stream, until one of this kind."""
    found, number = [], None
    for line in lines:
        if line.startswith("id: "):
            number = int(line[4:])
        if line.startswith("data: "):
            event = json.loads(line[6:])
            assert event["id"] == number
            found.append(event)
            if event["kind"] == until or len(found) >= most:
                break
    return found


def waiting_job(service):
    return service.post("it fails").json()["job_id"]


def test_a_job_is_told_from_its_beginning_until_its_end(service):
    job = waiting_job(service)
    with service.http.stream("GET", f"/api/v1/jobs/{job}/events", headers=SSE) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        first = read(lines, "waiting")
        assert [each["kind"] for each in first][:2] == ["queued", "running"]
        assert {"diagnosis", "plan", "request"} <= {each["kind"] for each in first}
        service.http.post(f"/jobs/{job}/approve", json={"by": "ann"})
        rest = read(lines)
    kinds = [each["kind"] for each in rest]
    assert kinds[-1] == "done"
    assert {"decided", "approval", "action_started", "action_ended", "verification"} <= set(kinds)
    numbers = [each["id"] for each in first + rest]
    assert numbers == sorted(set(numbers))
    assert all(each["job"] == job for each in first + rest)
    headers = SSE | {"Last-Event-ID": str(numbers[3])}
    again = read(service.http.get(f"/api/v1/jobs/{job}/events", headers=headers).iter_lines())
    assert [each["id"] for each in again] == numbers[4:]
    headers["Last-Event-ID"] = str(numbers[-1])
    assert service.http.get(f"/api/v1/jobs/{job}/events", headers=headers).status_code == 204
    listed = service.http.get(f"/api/v1/jobs/{job}/events").json()
    assert [each["id"] for each in listed["items"]] == numbers
    assert listed["last"] == numbers[-1]


def test_events_of_all_jobs_reach_several_who_watch(service):
    before = service.http.get("/api/v1/events").json()["last"]
    seen = {}
    begun = threading.Barrier(3)

    def watch(name, headers):
        with service.http.stream("GET", "/api/v1/events", headers=SSE | headers) as answer:
            lines = answer.iter_lines()
            next(lines)
            begun.wait(10)
            seen[name] = read(lines, "waiting")

    threads = [threading.Thread(target=watch, args=(n, h)) for n, h in enumerate([{}, {"Last-Event-ID": str(before)}])]
    for thread in threads:
        thread.start()
    begun.wait(10)
    job = waiting_job(service)
    for thread in threads:
        thread.join(20)
    assert seen[0] == seen[1]
    assert {each["job"] for each in seen[0]} == {job}


def test_a_quiet_stream_is_kept_alive(service, monkeypatch):
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)
    with service.http.stream("GET", "/api/v1/events", headers=SSE) as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert [next(lines) for _ in range(3)] == ["retry: 2000", ":", ":"]


def test_streams_are_capped_and_a_place_comes_free_again(service, monkeypatch):
    service.backend.streams = threading.BoundedSemaphore(1)
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)
    with service.http.stream("GET", "/api/v1/events", headers=SSE):
        refused = service.http.get("/api/v1/events", headers=SSE)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with service.http.stream("GET", "/api/v1/events", headers=SSE) as answer:
            if answer.status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the place did not come free")


def test_streams_end_when_the_service_stops(tmp_path):
    with serving(tmp_path) as service, service.http.stream("GET", "/api/v1/events", headers=SSE) as answer:
        lines = answer.iter_lines()
        next(lines)
        begun = time.monotonic()
        service.backend.stopping.set()
        assert read(lines) == []
        assert time.monotonic() - begun < 5
    assert behind.MOST_STREAMS > 1


def test_numbers_that_are_none_are_refused(service):
    for wrong in ("-1", "x", "1" * 30):
        refused = service.http.get("/api/v1/events", params={"after": wrong})
        assert refused.status_code == 400
        assert "after" in refused.text
    assert service.http.get("/api/v1/jobs/nothing/events").status_code == 404


def socket_to(service, path, **more):
    address = str(service.http.base_url).replace("http:", "ws:").rstrip("/")
    return Client.connect(address + path, **more)


def test_the_same_events_come_over_a_socket(service):
    job = waiting_job(service)
    listed = service.http.get(f"/api/v1/jobs/{job}/events").json()["items"]
    socket = socket_to(service, f"/api/v1/jobs/{job}/events/ws")
    assert [json.loads(socket.receive(10)) for _ in listed] == listed
    everything = socket_to(service, f"/api/v1/events/ws?after={listed[-1]['id']}")
    service.http.post(f"/jobs/{job}/approve", json={"by": "ann"})
    kinds = []
    while kinds[-1:] != ["done"]:
        text = socket.receive(10)
        assert text is not None
        assert json.loads(everything.receive(10)) == json.loads(text)
        kinds.append(json.loads(text)["kind"])
    with pytest.raises(ConnectionClosed):
        socket.receive(10)
    everything.close()


def test_sockets_are_refused_before_they_are_open(service):
    service.backend.streams = threading.BoundedSemaphore(1)
    for path, more in (
        ("/api/v1/jobs/nothing/events/ws", {}),
        ("/api/v1/events/ws?after=x", {}),
        ("/api/v1/events/ws", {"headers": {"Origin": "https://evil.example"}}),
    ):
        with pytest.raises(ConnectionError):
            socket_to(service, path, **more)
    first = socket_to(service, "/api/v1/events/ws")
    with pytest.raises(ConnectionError):
        socket_to(service, "/api/v1/events/ws")
    first.close()
    assert service.http.get("/api/v1/events/ws").status_code == 400


def test_a_socket_is_closed_when_the_service_stops(tmp_path):
    with serving(tmp_path) as service:
        socket = socket_to(service, "/api/v1/events/ws")
        time.sleep(0.2)
        service.backend.stopping.set()
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive(10)
        assert closed.value.reason == 1001


def test_one_approval_of_several_is_told_to_all_who_watch(tmp_path):
    with serving(tmp_path, Policy((("ask", Fit(persons=2)),))) as service:
        job = waiting_job(service)
        socket = socket_to(service, f"/api/v1/events/ws?after={service.http.get('/api/v1/events').json()['last']}")
        with service.http.stream("GET", f"/api/v1/jobs/{job}/events", headers=SSE) as answer:
            lines = answer.iter_lines()
            read(lines, "waiting")
            service.http.post(f"/jobs/{job}/approve", json={"by": "ann"})
            [vote] = read(lines, "vote")
            assert vote["data"] == {"by": "ann", "given": 1, "persons": 2}
            assert json.loads(socket.receive(10)) == vote
            assert service.http.post(f"/jobs/{job}/approve", json={"by": "ann"}).status_code == 409
            service.http.post(f"/jobs/{job}/approve", json={"by": "bob"})
            kinds = [each["kind"] for each in read(lines)]
        socket.close()
        assert kinds[:3] == ["vote", "approval", "decided"]
        assert (kinds.count("vote"), kinds.count("decided"), kinds[-1]) == (1, 1, "done")
