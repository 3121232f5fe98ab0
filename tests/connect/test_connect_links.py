"""Links for approval: once, for one plan, for one person, until they expire; who only opens them changes nothing."""

import re
from datetime import timedelta

import httpx
import payloads
import pytest
from hooked import SECRET, deliver, hooked, rows, until, worked_off
from sqlalchemy import select, update

from devops_agent.connect.links import Link, mint, signing_key
from devops_agent.jobs import audit
from devops_agent.jobs.tables import links as link_rows
from devops_agent.model import now
from devops_agent.policy import Fit, Policy

HOOKS = {"am": {"kind": "alertmanager", "secret": SECRET}}
TWO = Policy((("ask", Fit(persons=2)),))


@pytest.fixture
def service(tmp_path):
    with hooked(tmp_path, HOOKS) as running:
        yield running


def waiting(service, **labels):
    """A job that waits for approval, and its plan's fingerprint."""
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(**labels)), name="am")
    worked_off(service)
    job = rows(service)[-1].id
    return job, service.backend.jobs.report(job).attempts[-1].request


def link(service, job, request, person="anna", **changed):
    made = Link(job, request.fingerprint, person, request.expires)
    made = Link(**{**made.__dict__, **changed})
    return "/links/" + mint(service.backend.jobs, service.backend.link_key, made, "mail")


def browser(service):
    return httpx.Client(base_url=service.http.base_url, timeout=30)


def press(service, address, decision="approve", **more):
    """Open a link in a browser of its own and press a button there."""
    with browser(service) as one:
        page = one.get(address)
        if page.status_code != 200:
            return page
        form = re.search(r'name="form" value="([^"]+)"', page.text)[1]
        return one.post(address, data={"form": form, "decision": decision, **more})


def test_a_link_decides_once_in_the_name_of_its_person(service):
    job, request = waiting(service)
    address = link(service, job, request)
    answer = press(service, address, reason="looks right")
    assert answer.status_code == 200
    assert "approved by anna" in answer.text
    until(lambda: rows(service)[0].status == "done")
    assert service.file.read_text() == "x"
    approved = next(each for each in audit.entries(service.backend.jobs.engine, job) if each.event == "approved")
    assert approved.actor == "anna"
    assert approved.data["reason"] == "by the link sent to mail: looks right"
    again = press(service, address)
    assert again.status_code == 410
    assert "was used" in again.text


def test_a_link_may_deny_too(service):
    job, request = waiting(service)
    assert "denied by anna" in press(service, link(service, job, request), "deny").text
    until(lambda: rows(service)[0].status == "done")
    assert not service.file.exists()


def test_who_only_opens_a_link_changes_nothing(service):
    job, request = waiting(service)
    address = link(service, job, request)
    for _ in range(3):
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            service.http.request(method, address, headers={"User-Agent": "mail scanner", "Purpose": "prefetch"})
    page = service.http.get(address)
    assert page.status_code == 200
    # a scanner that follows every form, but is no browser that was given a cookie by the page
    blind = httpx.post(f"{service.http.base_url}{address}", data={"decision": "approve"})
    form = re.search(r'name="form" value="([^"]+)"', page.text)[1]
    other = httpx.post(f"{service.http.base_url}{address}", data={"decision": "approve", "form": form})
    assert (blind.status_code, other.status_code) == (403, 403)
    assert rows(service)[0].waiting == "approval"
    assert press(service, address).status_code == 200


def test_the_page_shows_the_plan_and_is_kept_and_framed_by_nobody(service):
    job, request = waiting(service)
    page = service.http.get(link(service, job, request))
    assert "append(path=" in page.text
    assert request.fingerprint[:12] in page.text
    assert "For anna" in page.text
    head = page.headers
    assert "frame-ancestors 'none'" in head["Content-Security-Policy"]
    assert "default-src 'none'" in head["Content-Security-Policy"]
    assert head["Cache-Control"] == "no-store"
    assert head["Referrer-Policy"] == "same-origin"
    assert "noindex" in head["X-Robots-Tag"]
    assert "<script" not in page.text


def test_another_plan_job_or_person_cannot_be_decided_by_it(service):
    job, request = waiting(service)
    other, asked = waiting(service, instance="db-9:9100")
    assert press(service, link(service, job, request, fingerprint="f" * 32)).status_code == 410
    good = link(service, job, request)
    with service.backend.jobs.engine.begin() as connection:  # somebody who can write to the database
        connection.execute(update(link_rows).values(job=other, fingerprint=asked.fingerprint, person="mallory"))
    assert press(service, good).status_code == 410
    assert [each.waiting for each in rows(service)] == ["approval", "approval"]


def test_a_link_expires(service):
    job, request = waiting(service)
    address = link(service, job, request, expires=now() - timedelta(seconds=1))
    answer = press(service, address)
    assert answer.status_code == 410
    assert "expired" in answer.text
    assert rows(service)[0].waiting == "approval"


@pytest.mark.parametrize(
    "change",
    [lambda t: t[:-1], lambda t: t + "x", lambda t: ("B" if t[0] == "A" else "A") + t[1:], lambda t: t.split(".")[0]],
)
def test_a_link_that_is_not_whole_or_not_ours_is_refused(service, change):
    job, request = waiting(service)
    address = link(service, job, request)
    token = address.removeprefix("/links/")
    assert press(service, f"/links/{change(token)}").status_code == 410
    assert service.http.get("/links/" + "a" * 500).status_code == 410
    assert service.http.get("/links/x.y").status_code == 410


def test_a_link_with_another_key_is_refused(service, tmp_path):
    job, request = waiting(service)
    made = Link(job, request.fingerprint, "anna", request.expires)
    token = mint(service.backend.jobs, signing_key(tmp_path / "elsewhere", None), made, "mail")
    assert press(service, f"/links/{token}").status_code == 410


def test_a_plan_that_was_decided_elsewhere_or_withdrawn_is_over_for_its_links(service):
    job, request = waiting(service)
    one, other = link(service, job, request), link(service, job, request, "ben")
    service.http.post(f"/jobs/{job}/deny", json={"by": "carla"})
    assert press(service, one).status_code == 410
    assert press(service, other, "deny").status_code == 410


def test_all_links_of_one_person_for_a_plan_are_used_up_together(tmp_path):
    with hooked(tmp_path, HOOKS, policy=TWO) as service:
        job, request = waiting(service)
        first, second = link(service, job, request), link(service, job, request)
        assert press(service, first).status_code == 200
        assert press(service, second).status_code == 410


def test_two_persons_need_two_links(tmp_path):
    with hooked(tmp_path, HOOKS, policy=TWO) as service:
        job, request = waiting(service)
        assert request.persons == 2
        anna, ben, hook = (link(service, job, request, name) for name in ("anna", "Ben", "hook am"))
        assert press(service, anna).status_code == 200
        assert rows(service)[0].waiting == "approval"
        assert press(service, hook).status_code == 410  # whoever reported it is not one of the two
        assert press(service, ben).status_code == 200
        until(lambda: rows(service)[0].status == "done")
        assert service.file.read_text() == "x"


def test_a_form_of_another_site_is_refused(service):
    job, request = waiting(service)
    address = link(service, job, request)
    with browser(service) as one:
        form = re.search(r'name="form" value="([^"]+)"', one.get(address).text)[1]
        sent = {"form": form, "decision": "approve"}
        assert one.post(address, data=sent, headers={"Origin": "https://evil.example"}).status_code == 403
        assert one.post(address, data={"form": form, "decision": "perhaps"}).status_code == 400
    assert rows(service)[0].waiting == "approval"


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    one, other = signing_key(tmp_path / "data", None), signing_key(tmp_path / "data", None)
    assert one == other
    assert len(one) == 32
    assert (tmp_path / "data" / "links.key").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["links.key"]
    assert signing_key(tmp_path, "configured") == signing_key(tmp_path / "other", "configured") != one


def test_links_are_stored_without_what_opens_them(service):
    job, request = waiting(service)
    token = link(service, job, request).removeprefix("/links/")
    with service.backend.jobs.engine.connect() as connection:
        (row,) = connection.execute(select(link_rows)).all()
    assert token not in str(row)
    assert token.split(".")[0] not in str(row)


def test_where_the_service_has_keys_hooks_and_links_need_none_and_open_nothing_else(service):
    from devops_agent.jobs import keys

    job, request = waiting(service)
    keys.create(service.backend.jobs.engine, "root", "admin")
    address = link(service, job, request)
    assert service.http.get(f"/jobs/{job}").status_code == 401
    body = payloads.alertmanager(payloads.alert(instance="db-7:9100"))
    assert deliver(service, "alertmanager", body, name="am", Host="agent.example").status_code == 202
    assert service.http.get(address, headers={"Host": "agent.example"}).status_code == 200
    assert press(service, address).status_code == 200
    until(lambda: service.backend.jobs.job(job).status == "done")
    assert service.http.post("/hooks/am", json={}).status_code == 401
