"""The same on Postgres, where transactions do run side by side: taken in once, opened once, told once, decided once."""

import re
import threading

import httpx
import payloads
import pytest
from hooked import SECRET, deliver, hooked, rows, until, worked_off
from sqlalchemy import func, select
from standins import Say, standing_in

from devops_agent.connect.links import Link, mint
from devops_agent.jobs.tables import notices
from postgres import Postgres

HOOKS = {"am": {"kind": "alertmanager", "secret": SECRET}, "pd": {"kind": "pagerduty", "secret": SECRET}}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as server:
        yield server


def at_once(count, function, *args, **more):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(function(*args, **more)), daemon=True) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_what_comes_at_once_is_taken_in_opened_told_and_decided_once(tmp_path, postgres):
    with standing_in(otherwise=lambda _: Say(200)) as receiver:
        notify = {"wire": {"kind": "webhook", "url": receiver.address, "secret": SECRET}}
        url = postgres.database()
        with (
            hooked(tmp_path / "one", HOOKS, notify=notify, database_url=url) as one,
            hooked(tmp_path / "two", HOOKS, notify=notify, database_url=url) as two,
        ):
            body = payloads.alertmanager()
            at_once(5, deliver, one, "alertmanager", body, name="am")
            at_once(5, deliver, two, "alertmanager", body, name="am")
            same = at_once(6, deliver, one, "pagerduty", payloads.pagerduty(), name="pd")
            assert sorted(each.json()["status"] for each in same) == ["accepted"] + ["duplicate"] * 5
            until(lambda: len(rows(one)) == 2 and max(row.repeats for row in rows(one)) == 9)
            worked_off(one)
            until(lambda: len(receiver.asked) == 2)
            job = rows(one)[0].id
            request = one.backend.jobs.report(job).attempts[-1].request
            made = Link(job, request.fingerprint, "anna", request.expires)
            token = mint(one.backend.jobs, one.backend.link_key, made, "mail")
            with httpx.Client(base_url=one.http.base_url, timeout=30) as browser:
                form = re.search(r'name="form" value="([^"]+)"', browser.get(f"/links/{token}").text)[1]
                sent = {"form": form, "decision": "deny"}
                answers = at_once(6, browser.post, f"/links/{token}", data=sent)
            assert sorted(each.status_code for each in answers) == [200, 410, 410, 410, 410, 410]
            until(lambda: told(one) == 3)
            assert len(receiver.asked) == 3


def told(service):
    with service.backend.jobs.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(notices).where(notices.c.state == "sent")).scalar()
