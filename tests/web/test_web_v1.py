"""API v1 as a client uses it: in, how far, what was found; pages, tags, nothing twice, problems that name fields."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
import zipfile

import pytest
from web_service import serving

from devops_agent.web.v1.openapi import description

V1 = "/api/v1"
LOG = "ERROR: the thing is broken\nexit 1\n"


def add(service, log=LOG, **more):
    answer = service.http.post(f"{V1}/incidents", json={"log": log, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["incidents"][0]


def answered(service, job):
    assert service.backend.wait(service.http.get(f"{V1}/jobs/{job}").json()["batch"], 20)
    return service.http.get(f"{V1}/jobs/{job}").json()


def test_from_a_log_to_its_report(service):
    answer = service.http.post(f"{V1}/incidents", json={"log": LOG, "title": "nightly", "labels": {"job": "build"}})
    job = answer.json()["incidents"][0]["id"]
    assert answer.headers["Location"] == f"{V1}/jobs/{job}"
    state = answered(service, job)
    assert (state["status"], state["waiting"], state["title"]) == ("waiting", "approval", "nightly")
    assert service.http.get(f"{V1}/incidents/{job}").json()["labels"] == {"job": "build"}
    plan = service.http.get(f"{V1}/jobs/{job}/plan").json()
    fingerprint = plan["plan"]["fingerprint"]
    assert plan["request"]["fingerprint"] == fingerprint
    assert [each["job"] for each in service.http.get(f"{V1}/plans").json()["items"]] == [job]
    assert service.http.get(f"{V1}/plans/{fingerprint[:8]}").json()["job"] == job
    assert service.http.get(f"{V1}/plans/{fingerprint[:7]}").status_code == 404
    said = service.http.post(f"{V1}/plans/{fingerprint}/approve", json={"reason": "seen"})
    assert said.json()["approval"]["reason"] == "seen"
    assert service.http.post(f"{V1}/plans/{fingerprint}/approve", json={}).status_code in (404, 409)
    assert answered(service, job)["outcome"] == "resolved"
    report = service.http.get(f"{V1}/jobs/{job}/report").json()
    assert report["status"] == "resolved"
    assert service.http.get(f"{V1}/jobs/{job}/report.md").text.startswith("#")
    assert service.file.read_text() == "x"


def test_logs_come_in_every_way(service):
    packed = gzip.compress(LOG.encode())
    for content, kind in ((LOG, "text/plain"), (packed, "application/octet-stream")):
        answer = service.http.post(
            f"{V1}/incidents", params={"title": "ci"}, content=content, headers={"Content-Type": kind}
        )
        assert answer.status_code == 202
        job = answer.json()["incidents"][0]["id"]
        incident = service.http.get(f"{V1}/incidents/{job}").json()
        assert (incident["log"], incident["title"]) == (LOG, "ci")
    files = [("log", ("../../etc/passwd", LOG)), ("log", ("C:\\logs\\b.log", packed)), ("log", ("/abs/x.log", LOG))]
    answer = service.http.post(f"{V1}/incidents", files=files).json()
    assert [each["title"] for each in answer["incidents"]] == ["passwd", "b.log", "x.log"]
    kept = [path for path in service.backend.settings.data_dir.rglob("*") if path.name in ("passwd", "b.log", "x.log")]
    assert not kept
    many = [{"log": f"{LOG}{number}", "dry_run": True} for number in range(3)]
    answer = service.http.post(f"{V1}/batches", json={"incidents": many})
    batch = answer.json()["batch"]
    assert answer.headers["Location"] == f"{V1}/batches/{batch}"
    assert service.backend.wait(batch, 20)
    found = service.http.get(f"{V1}/batches/{batch}").json()
    assert found["answered"]
    assert {each["outcome"] for each in found["jobs"]} == {"planned"}


def test_lists_are_paged_filtered_and_searched(service):
    jobs = [add(service, title=f"number {number} zebra", labels={"n": str(number)})["id"] for number in range(5)]
    for job in jobs:
        answered(service, job)
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.http.get(f"{V1}/incidents", params=params).json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        add(service)  # what comes in meanwhile shifts nothing
    assert seen[: len(jobs)] == jobs[::-1]
    assert len(seen) == len(set(seen))

    def found(**params):
        return [each["id"] for each in service.http.get(f"{V1}/incidents", params=params).json()["items"]]

    assert found(q="zebra 3") == [jobs[3]]
    assert found(label="n=2") == [jobs[2]]
    assert set(found(status="approval", q="zebra")) <= set(jobs)
    assert found(status="error") == []
    assert found(since="2999-01-01T00:00:00Z") == []
    assert found(place="nowhere") == []
    for wrong in ({"limit": "0"}, {"limit": "x"}, {"status": "open"}, {"since": "today"}, {"page": "2"}):
        refused = service.http.get(f"{V1}/incidents", params=wrong)
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == next(iter(wrong))
    assert service.http.get(f"{V1}/incidents?limit=1&limit=2").status_code == 400
    assert service.http.get(f"{V1}/incidents", params={"cursor": "zzz"}).status_code in (400, 409)


def test_what_is_polled_is_not_sent_again(service):
    job = add(service)["id"]
    answered(service, job)
    first = service.http.get(f"{V1}/jobs/{job}")
    tag = first.headers["ETag"]
    again = service.http.get(f"{V1}/jobs/{job}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    service.http.post(f"{V1}/jobs/{job}/deny", json={"by": "ann", "reason": "no"})
    answered(service, job)
    changed = service.http.get(f"{V1}/jobs/{job}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_the_same_key_is_done_once_also_by_many_and_after_a_restart(tmp_path):
    headers = {"Idempotency-Key": "deploy-17"}
    with serving(tmp_path) as service:
        answers = []

        def send():
            answers.append(service.http.post(f"{V1}/incidents", json={"log": LOG}, headers=headers))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert {each.status_code for each in answers} == {202}
        batches = {each.json()["batch"] for each in answers}
        assert len(batches) == 1
        other = service.http.post(f"{V1}/incidents", json={"log": "another"}, headers=headers)
        assert other.status_code == 409
        assert other.json()["code"] == "idempotency_key_reused"
        assert (
            service.http.post(f"{V1}/incidents", json={"log": LOG}, headers={"Idempotency-Key": ""}).status_code == 400
        )
    with serving(tmp_path) as service:
        again = service.http.post(f"{V1}/incidents", json={"log": LOG}, headers=headers)
        assert {again.json()["batch"]} == batches
        assert len(service.http.get(f"{V1}/incidents").json()["items"]) == 1


def test_cancel_and_retry(service):
    job = add(service, title="again")["id"]
    answered(service, job)
    assert service.http.post(f"{V1}/jobs/{job}/retry").status_code == 409
    ended = service.http.post(f"{V1}/jobs/{job}/cancel", json={"reason": "not needed"}).json()
    assert (ended["status"], ended["error"]) == ("error", "not needed")
    assert service.http.post(f"{V1}/jobs/{job}/cancel", json={}).status_code == 409
    assert service.http.post(f"{V1}/jobs/{job}/approve", json={}).status_code == 409
    retried = service.http.post(f"{V1}/jobs/{job}/retry").json()["incidents"][0]
    assert retried["id"] != job
    assert answered(service, retried["id"])["waiting"] == "approval"
    incident = service.http.get(f"{V1}/incidents/{retried['id']}").json()
    assert (incident["log"], incident["title"]) == (LOG, "again")


def test_problems_name_the_fields_and_tell_nothing_else(service):
    secret = "hunter2-hunter2"
    refused = service.http.post(
        f"{V1}/incidents", json={"log": 7, "labels": {"a": 1}, "password": secret}, headers={"X-Request-ID": "my-id"}
    )
    problem = refused.json()
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert {each["field"] for each in problem["errors"]} == {"log", "labels.a", "password"}
    assert (problem["status"], problem["request_id"], refused.headers["X-Request-ID"]) == (400, "my-id", "my-id")
    assert secret not in refused.text
    for path, status in (("/jobs/nothing", 404), ("/nothing", 404), ("/incidents/", 404)):
        assert service.http.get(V1 + path).json()["status"] == status
    wrong = service.http.request("DELETE", f"{V1}/incidents")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert service.http.post(f"{V1}/incidents", content="a=1", headers={"Content-Type": "text/csv"}).status_code == 415
    made_up = service.http.get(f"{V1}/me", headers={"X-Request-ID": "a\tb"}).headers["X-Request-ID"]
    assert made_up != "a\tb"


def test_bodies_that_would_hurt_are_refused(tmp_path):
    with serving(tmp_path, max_body_bytes=200_000) as service:
        deep = "[" * 50_000 + "]" * 50_000
        for text in (
            deep,
            '{"log": ' + deep + "}",
            '{"a":' * 20_000,
            "",
            "nonsense",
            '{"log": "\\ud800"}',
            "null",
            "[]",
        ):
            answer = service.http.post(f"{V1}/incidents", content=text, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, text[:30]
            old = service.http.post("/process_errors", content=text, headers={"Content-Type": "application/json"})
            assert old.status_code == 400, text[:30]
        large = service.http.post(f"{V1}/incidents", json={"log": "x" * 300_000})
        assert large.status_code == 413
        assert "200000" in large.json()["detail"]
        many = service.http.post(f"{V1}/batches", json={"incidents": [{"log": "x"}] * 1001})
        assert (many.status_code, many.json()["errors"][0]["field"]) == (400, "incidents")
        bomb = gzip.compress(b"\0" * 50_000_000)
        assert len(bomb) < 200_000
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("../../a.log", b"\0" * 50_000_000)
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w:gz") as out:
            info = tarfile.TarInfo("../../b.log")
            info.size = 50_000_000
            out.addfile(info, io.BytesIO(b"\0" * info.size))
        text = io.BytesIO()
        with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("../../a.log", b"line\n" * 10_000_000)
        for content in (bomb, tar.getvalue(), archive.getvalue(), text.getvalue()):
            answer = service.http.post(f"{V1}/incidents", files=[("log", ("a.log", content))])
            assert answer.status_code in (400, 413), answer.text
        part = gzip.compress(b"line\n" * 100_000)  # 500 kB: one is fine, and so many are too much together
        for address in (f"{V1}/incidents", "/incidents"):
            assert service.http.post(address, files=[("log", ("a.log", part))]).status_code == 202
            together = service.http.post(address, files=[("log", (f"{n}.log", part)) for n in range(4)])
            assert together.status_code == 400, together.text
            assert "once it is expanded" in together.text
        nested = gzip.compress(gzip.compress(b"\0" * 50_000_000))
        taken = service.http.post(f"{V1}/incidents", files=[("log", ("a.gz", nested))]).json()["batch"]
        assert len(service.http.get(f"{V1}/incidents/{taken}").json()["log"]) < 200_000  # it is expanded once
        boundary = {"Content-Type": "multipart/form-data; boundary=b"}
        parts = b"".join(b'--b\r\nContent-Disposition: form-data; name="log%d"\r\n\r\nx\r\n' % n for n in range(3000))
        for address in (f"{V1}/incidents", "/incidents"):
            refused = service.http.post(address, content=parts[:190_000] + b"--b--", headers=boundary)
            assert refused.status_code in (400, 413), refused.text
        packed = service.http.post(
            "/process_errors",
            content=gzip.compress(b'{"errors": [{"context": "' + b"x" * 50_000_000 + b'"}]}'),
            headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        )
        assert packed.status_code == 400  # a packed body is not unpacked
        assert not [path for path in tmp_path.rglob("*.log") if path.stat().st_size > 1_000_000]
        assert service.http.get("/health").status_code == 200


def test_a_label_or_place_is_no_path(service):
    for place in ("../../etc", "/etc/passwd", "a\0b"):
        assert service.http.post(f"{V1}/incidents", json={"log": LOG, "place": place}).status_code == 404
    job = add(service, labels={"job": "../../../tmp/evil", "../x": "y"}, title="../../title")["id"]
    answered(service, job)
    assert not list(service.backend.settings.data_dir.parent.rglob("*evil*"))
    for path in ("..%2f..%2fetc%2fpasswd", "%2e%2e", "job_%00", "a" * 500):
        assert service.http.get(f"{V1}/jobs/{path}").status_code == 404


def test_what_there_is_and_who_asks(shared):
    for path in ("/runbooks", "/tools", "/places", "/statistics", "/audit", "/me", "/keys"):
        assert shared.http.get(V1 + path).status_code == 200, path
    runbook = shared.http.get(f"{V1}/runbooks").json()["items"][0]
    assert shared.http.get(f"{V1}/runbooks/{runbook['id']}").json()["content"]
    assert shared.http.get(f"{V1}/tools/port_owner").json()["kind"] == "probe"
    assert shared.http.get(f"{V1}/me").json() == {"name": "http", "role": "admin", "places": None, "keys": False}


def test_the_description_is_whole_and_the_page_needs_nobody_else(shared):
    found = shared.http.get(f"{V1}/openapi.json").json()
    assert found == json.loads(json.dumps(description()))
    assert found["openapi"] == "3.1.0"
    for path, methods in found["paths"].items():
        for method, one in methods.items():
            assert one["summary"], path
            assert {"400", "401", "403", "429", "default"} <= set(one["responses"]), (method, path)
    page = shared.http.get(f"{V1}/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for outside in ("http://", "https://", "<script", "style="):
        assert outside not in page.text
    for path in found["paths"]:
        assert path in page.text
    assert shared.http.get(f"{V1}/docs.css").headers["Content-Type"].startswith("text/css")


def test_answers_carry_careful_headers(shared):
    for path in ("/health", f"{V1}/me", "/dashboard", f"{V1}/docs", "/nothing"):
        headers = shared.http.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Request-ID"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_another_sites_pages_get_nothing_where_there_are_no_keys(shared, origin):
    for method, path in (("GET", "/incidents"), ("POST", "/incidents"), ("POST", "/keys")):
        answer = shared.http.request(method, V1 + path, json={"log": "x"}, headers={"Origin": origin})
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert shared.http.get(f"{V1}/incidents", headers={"Host": "agent.evil.example"}).status_code == 403
