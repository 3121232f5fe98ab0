"""Hooks of a running service: only what is proven is taken in, once, in any order; incidents open, join, close."""

import json
import threading
import time

import payloads
import pytest
from hooked import SECRET, deliver, hex_of, hooked, hooks, proof, rows, standard, until, worked_off
from web_service import Failing

from devops_agent.connect import alerts, inbox
from devops_agent.errors import ConfigError
from devops_agent.jobs import audit
from devops_agent.policy import Fit, Policy
from pipeline_parts import step

BODIES = {
    "alertmanager": payloads.alertmanager,
    "grafana": payloads.grafana,
    "github": payloads.workflow_run,
    "gitlab": payloads.pipeline,
    "jenkins": payloads.jenkins,
    "pagerduty": payloads.pagerduty,
    "sentry": payloads.sentry_issue,
    "generic": lambda: {"alert": {"title": "backup failed", "id": 7, "state": "open", "log": "rsync error: code 12"}},
}
EVENTS = {"github": {"X-GitHub-Event": "workflow_run"}, "sentry": {"Sentry-Hook-Resource": "issue"}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One service for tests that do not mind each other; its planner needs nothing, jobs end at once."""
    given = hooks(
        signed={"kind": "generic", "secret": SECRET, "auth": "signature", "map": {"title": "/t"}},
        timed={"kind": "grafana", "secret": SECRET, "timestamp_header": "X-Time"},
        whsec={"kind": "gitlab", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "auth": "signature"},
        address={"kind": "jenkins", "secret": SECRET, "auth": "url", "api": "http://127.0.0.1:9"},
        rotating={"kind": "github", "secret": ["the-old-secret-of-it", "the-new-secret-of-it"]},
        named={"kind": "alertmanager", "secret": SECRET, "username": "prom"},
    )
    with hooked(tmp_path_factory.mktemp("hooks"), given, work=False) as service:
        yield service


@pytest.fixture
def service(tmp_path):
    with hooked(tmp_path) as running:
        yield running


def send(service, name, raw, **headers):
    return service.http.post(f"/hooks/{name}", content=raw, headers={"Content-Type": "application/json", **headers})


@pytest.mark.parametrize("kind", BODIES)
def test_a_proven_delivery_is_taken_in_at_once(shared, kind):
    raw = json.dumps(BODIES[kind]()).encode()
    answer = send(shared, kind, raw, **proof(kind, raw), **EVENTS.get(kind, {}))
    assert answer.status_code == 202, answer.text
    assert answer.json()["signals"] == 1


@pytest.mark.parametrize("kind", BODIES)
def test_nothing_that_is_not_proven_is_taken_in(shared, kind):
    raw = json.dumps(BODIES[kind]()).encode()
    other = json.dumps({**BODIES[kind](), "extra": 1}).encode()
    for headers in ({}, proof(kind, raw, "some-other-secret"), dict.fromkeys(proof(kind, raw), "")):
        answer = send(shared, kind, raw, **headers, **EVENTS.get(kind, {}))
        assert answer.status_code == 401, (headers, answer.text)
        assert SECRET not in answer.text
    if "ignature" in str(list(proof(kind, raw))):
        changed = send(shared, kind, other, **proof(kind, raw), **EVENTS.get(kind, {}))
        assert changed.status_code == 401


@pytest.mark.parametrize("kind", ["github", "gitlab", "jenkins", "pagerduty", "sentry"])
def test_a_delivery_that_is_sent_again_is_not_taken_in_again(shared, kind):
    body = {**BODIES[kind](), "only": kind}
    if kind == "pagerduty":
        body["event"]["id"] = "once"
    raw = json.dumps(body).encode()
    first = send(shared, kind, raw, **proof(kind, raw), **EVENTS.get(kind, {}))
    again = send(shared, kind, raw, **proof(kind, raw), **EVENTS.get(kind, {}), **{"X-GitHub-Delivery": "another"})
    assert first.status_code == 202
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")


def test_the_standard_webhooks_bind_id_time_and_body(shared):
    raw = b'{"t": "it failed"}'
    assert send(shared, "signed", raw, **standard(raw, "m1")).status_code == 202
    assert send(shared, "signed", raw, **standard(raw, "m1")).json()["status"] == "duplicate"
    assert send(shared, "signed", raw, **standard(raw, "m2")).status_code == 202
    assert send(shared, "signed", raw, **standard(raw, "m3", time.time() - 400)).status_code == 401
    assert send(shared, "signed", raw, **standard(raw, "m4", time.time() + 400)).status_code == 401
    assert send(shared, "signed", raw, **{**standard(raw, "m5"), "webhook-id": "m6"}).status_code == 401
    assert send(shared, "signed", raw, **{**standard(raw, "m7"), "webhook-timestamp": "soon"}).status_code == 401
    both = standard(raw, "m8")
    both["webhook-signature"] = "v1,AAAA v2,x " + both["webhook-signature"]
    assert send(shared, "signed", raw, **both).status_code == 202


def test_gitlab_signs_with_a_key_in_base64(shared):
    raw = json.dumps(payloads.pipeline()).encode()
    secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    assert send(shared, "whsec", raw, **standard(raw, "g1", secret=secret)).status_code == 202
    assert send(shared, "whsec", raw, **{"X-Gitlab-Token": secret}).status_code == 401


def test_grafana_may_sign_the_time_too(shared):
    raw, stamp = json.dumps(payloads.grafana()).encode(), str(int(time.time()))
    signed = {"X-Grafana-Alerting-Signature": hex_of(stamp.encode() + b":" + raw)}
    assert send(shared, "timed", raw, **signed, **{"X-Time": stamp}).status_code == 202
    assert send(shared, "timed", raw, **signed, **{"X-Time": stamp}).json()["status"] == "duplicate"
    assert send(shared, "timed", raw, **signed, **{"X-Time": str(int(stamp) + 1)}).status_code == 401
    assert send(shared, "timed", raw, **{"X-Grafana-Alerting-Signature": hex_of(raw)}).status_code == 401


def test_two_secrets_hold_while_one_is_replaced(shared):
    for secret in ("the-old-secret-of-it", "the-new-secret-of-it"):
        raw = json.dumps({**payloads.workflow_run(), "n": secret}).encode()
        given = {**proof("github", raw, secret), "X-GitHub-Event": "workflow_run"}
        assert send(shared, "rotating", raw, **given).status_code == 202


def test_a_secret_in_the_address_counts_only_where_that_is_configured(shared):
    raw = json.dumps(payloads.jenkins()).encode()
    assert send(shared, f"address?token={SECRET}", raw).status_code == 202
    assert send(shared, "address?token=", raw).status_code == 401
    assert send(shared, f"jenkins?token={SECRET}", raw).status_code == 401


def test_the_user_of_basic_authentication_is_checked_where_it_is_configured(shared):
    raw = json.dumps(payloads.alertmanager()).encode()
    assert shared.http.post("/hooks/named", content=raw, auth=("prom", SECRET)).status_code == 202
    assert shared.http.post("/hooks/named", content=raw, auth=("other", SECRET)).status_code == 401
    assert send(shared, "named", raw, Authorization="Basic !!!").status_code == 401
    assert send(shared, "named", raw, Authorization=f"Digest {SECRET}").status_code == 401


def test_an_unknown_hook_another_method_and_foreign_names_of_the_host(shared):
    assert shared.http.post("/hooks/none", json={}).status_code == 404
    assert shared.http.get("/hooks/github").status_code == 405
    raw = json.dumps(payloads.alertmanager()).encode()
    headers = {**proof("alertmanager", raw), "Host": "agent.example"}
    assert send(shared, "alertmanager", raw, **headers).status_code == 202


def test_huge_and_truncated_bodies_are_refused(shared):
    whole = json.dumps(payloads.alertmanager()).encode()
    cut = whole[: len(whole) // 2]
    assert send(shared, "alertmanager", cut, **proof("alertmanager", cut)).status_code == 400
    assert send(shared, "github", cut, **proof("github", whole)).status_code == 401
    huge = b'{"alerts": [' + b" " * (27 << 20) + b"]}"
    assert send(shared, "alertmanager", huge, **proof("alertmanager", huge)).status_code == 413
    many = json.dumps(payloads.alertmanager(*(payloads.alert(f"A{n}") for n in range(500)))).encode()
    assert send(shared, "alertmanager", many, **proof("alertmanager", many)).json()["signals"] == 200


def test_what_happened_too_long_ago_is_ignored(shared):
    old = payloads.alertmanager(payloads.alert("Old", began=200 * 86400))
    assert deliver(shared, "alertmanager", old).json()["status"] == "ignored"


def test_a_full_inbox_sends_its_senders_away_for_a_while(shared, monkeypatch):
    monkeypatch.setattr(inbox, "MOST", 0)
    answer = deliver(shared, "alertmanager", payloads.alertmanager())
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


def test_an_alert_opens_repeats_join_and_its_end_withdraws_the_plan(service):
    firing = payloads.alertmanager()
    assert deliver(service, "alertmanager", firing).status_code == 202
    worked_off(service)
    (row,) = rows(service)
    assert (row.waiting, row.title) == ("approval", "DiskAlmostFull: DiskAlmostFull on db-3:9100")
    incident = service.backend.jobs.report(row.id).incident
    assert incident.source == "webhook"
    assert incident.labels["hook"] == "alertmanager"
    for _ in range(3):
        deliver(service, "alertmanager", firing)
    until(lambda: rows(service)[0].repeats == 3)
    assert len(rows(service)) == 1
    over = payloads.alertmanager(payloads.alert(status="resolved"), status="resolved")
    deliver(service, "alertmanager", over)
    row = until(lambda: next((each for each in rows(service) if each.status == "done"), None))
    assert row.outcome == "resolved"
    report = service.backend.jobs.report(row.id)
    assert report.status == "resolved"
    assert "withdrawn" in report.summary
    assert not service.file.exists()
    said = [each for each in audit.entries(service.backend.jobs.engine, row.id) if each.event == "closed"]
    assert [each.actor for each in said] == ["hook alertmanager"]
    refused = service.http.post(f"/jobs/{row.id}/approve", json={"by": "anna"})
    assert refused.status_code == 409


def test_an_alert_that_fires_again_after_its_end_is_another_incident(service):
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(began=600)))
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(status="resolved", began=600, ended=300)))
    until(lambda: [each.outcome for each in rows(service)] == ["resolved"])
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(began=100)))
    until(lambda: len(rows(service)) == 2)
    worked_off(service)
    assert rows(service)[1].waiting == "approval"


def test_deliveries_that_overtake_one_another_open_nothing_that_is_over(service):
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(status="resolved", began=600, ended=300)))
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(began=600)))
    deliver(service, "pagerduty", payloads.pagerduty("incident.resolved", "e2", ago=10))
    deliver(service, "pagerduty", payloads.pagerduty("incident.triggered", "e1", ago=60))
    worked_off(service)
    assert rows(service) == []


def test_an_old_end_does_not_close_what_began_after_it(service):
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(began=100)))
    worked_off(service)
    deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(status="resolved", began=600, ended=300)))
    worked_off(service)
    time.sleep(1.2)
    assert [each.waiting for each in rows(service)] == ["approval"]


def test_an_incident_of_pagerduty_is_reopened_and_resolved(service):
    deliver(service, "pagerduty", payloads.pagerduty("incident.triggered", "e1", ago=60))
    deliver(service, "pagerduty", payloads.pagerduty("incident.acknowledged", "e2", ago=50))
    deliver(service, "pagerduty", payloads.pagerduty("incident.resolved", "e3", ago=40))
    until(lambda: [each.outcome for each in rows(service)] == ["resolved"])
    deliver(service, "pagerduty", payloads.pagerduty("incident.reopened", "e4", ago=30))
    until(lambda: len(rows(service)) == 2)


def test_a_run_a_check_and_a_suite_are_one_incident_and_a_later_success_of_the_branch_closes_it(service):
    deliver(service, "github", payloads.check_run(), X_GitHub_Event="check_run")
    deliver(service, "github", payloads.workflow_run(), X_GitHub_Event="workflow_run")
    deliver(service, "github", payloads.check_suite(), X_GitHub_Event="check_suite")
    until(lambda: rows(service) and rows(service)[0].repeats == 2)
    worked_off(service)
    assert len(rows(service)) == 1
    text = service.backend.jobs.report(rows(service)[0].id).incident.log
    assert "could not be fetched: no token" in text
    later = payloads.workflow_run("success", run=9002, suite=5002, updated_at=payloads.iso(10))
    deliver(service, "github", later, X_GitHub_Event="workflow_run")
    until(lambda: rows(service)[0].outcome == "resolved")
    late = payloads.workflow_run("failure", run=8999, suite=4999, updated_at=payloads.iso(100))
    deliver(service, "github", late, X_GitHub_Event="workflow_run")
    worked_off(service)
    assert len(rows(service)) == 1


def test_the_next_good_build_of_jenkins_closes_the_failed_one(tmp_path):
    given = {"jenkins": {"kind": "jenkins", "secret": SECRET, "api": "http://127.0.0.1:9", "place": None}}
    with hooked(tmp_path, given) as service:
        deliver(service, "jenkins", payloads.jenkins(log=["lost"], number=18))
        deliver(service, "jenkins", payloads.jenkins("SUCCESS", number=19))
        deliver(service, "jenkins", payloads.jenkins("SUCCESS", "FINALIZED", number=19))
        # its log cannot be fetched (nobody listens there): by the time it is given up, a good build has come
        until(lambda: waits(service) == 1)
        assert rows(service) == []


def waits(service):
    from sqlalchemy import func, select

    from devops_agent.jobs.tables import inbox as table

    with service.backend.jobs.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table).where(table.c.tries > 0)).scalar()


def test_an_incident_that_is_worked_on_when_its_alert_ends_is_closed_when_it_would_wait(tmp_path):
    with hooked(tmp_path, planner=Slow([[step(tmp_path / "file")]], release := threading.Event())) as service:
        deliver(service, "alertmanager", payloads.alertmanager())
        until(lambda: [each.status for each in rows(service)] == ["running"])
        deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(status="resolved")))
        release.set()
        until(lambda: [(each.status, each.outcome) for each in rows(service)] == [("done", "resolved")])
        assert not service.file.exists()


def test_an_incident_that_has_acted_is_not_interrupted(tmp_path):
    with hooked(
        tmp_path, policy=Policy((("allow", Fit()),)), planner=Slow([[]], release := threading.Event())
    ) as service:
        deliver(service, "alertmanager", payloads.alertmanager())
        until(lambda: [each.status for each in rows(service)] == ["running"])
        deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(status="resolved")))
        time.sleep(1.5)
        assert [each.status for each in rows(service)] == ["running"]
        release.set()
        worked_off(service)
        assert rows(service)[0].outcome != "resolved"


class Slow(Failing):
    """Does not come to a conclusion before it may."""

    def __init__(self, rounds, release):
        super().__init__(rounds)
        self.release = release

    def diagnose(self, digest, history, look):
        self.release.wait(20)
        return super().diagnose(digest, history, look)


def test_secrets_in_an_alert_are_masked_before_they_are_stored(service):
    one = payloads.alert()
    one["annotations"]["description"] = "login failed: password=hunter2hunter2 for db"
    one["labels"]["api_token"] = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
    deliver(service, "alertmanager", payloads.alertmanager(one))
    worked_off(service)
    service.backend.stop()
    kept = b"".join(file.read_bytes() for file in (service.backend.settings.data_dir).rglob("*") if file.is_file())
    assert b"hunter2hunter2" not in kept
    assert b"ghp_0123456789" not in kept


def test_an_alert_still_firing_long_after_its_incident_ended_opens_another(service, monkeypatch):
    monkeypatch.setattr(alerts, "AGAIN_SECONDS", -1.0)
    deliver(service, "alertmanager", payloads.alertmanager())
    worked_off(service)
    (row,) = rows(service)
    service.http.post(f"/jobs/{row.id}/deny", json={"by": "anna"})
    until(lambda: rows(service)[0].status == "done")
    deliver(service, "alertmanager", payloads.alertmanager())
    until(lambda: len(rows(service)) == 2)


def test_a_label_names_the_place_only_where_there_is_such_a_place(tmp_path):
    given = {"am": {"kind": "alertmanager", "secret": SECRET, "place_label": "cluster", "labels": {"team": "ops"}}}
    with hooked(tmp_path, given) as service:
        deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(cluster="nowhere")), name="am")
        worked_off(service)
        incident = service.backend.jobs.report(rows(service)[0].id).incident
        assert incident.place is None
        assert incident.labels["team"] == "ops"
        known = next(iter(service.backend.agent.places))
        deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(cluster=known)), name="am")
        worked_off(service)
        assert service.backend.jobs.report(rows(service)[1].id).incident.place == known


def test_many_at_once_are_one_incident(service):
    body = payloads.alertmanager()
    threads = [threading.Thread(target=deliver, args=(service, "alertmanager", body)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: rows(service) and rows(service)[0].repeats == 11)
    assert len(rows(service)) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"x": {"kind": "github", "secret": "short"}}, r"hooks\.x: secret: too short"),
        ({"x": {"kind": "github", "secret": SECRET, "auth": "bearer"}}, r"hooks\.x: auth: github takes signature"),
        ({"x": {"kind": "teletype", "secret": SECRET}}, r"hooks\.x\.kind"),
        ({"x": {"kind": "generic", "secret": SECRET}}, "map: missing"),
        ({"x": {"kind": "generic", "secret": SECRET, "map": {"title": "t"}}}, r"map\.title: expected a JSON pointer"),
        ({"x": {"kind": "jenkins", "secret": SECRET}}, "api: missing"),
        ({"x": {"kind": "github", "secret": "env:NOT_SET_ANYWHERE"}}, "NOT_SET_ANYWHERE is not set"),
        ({"x": {"kind": "github", "secret": SECRET, "api": "ftp://x"}}, r"hooks\.x\.api"),
        ({"x": {"kind": "github", "secret": SECRET, "api": "http://u:p@x"}}, r"hooks\.x\.api"),
        ({"x": {"kind": "github", "secret": SECRET, "colour": 1}}, r"hooks\.x\.colour"),
        ({"x": {"kind": "github", "secret": SECRET, "place": "nowhere"}}, r"hooks\.x\.place"),
        ({"X y": {"kind": "github", "secret": SECRET}}, "a name has small letters"),
        ({"x": 5}, r"hooks\.x: expected a table"),
    ],
)
def test_wrong_settings_are_refused_with_the_field_and_without_the_secret(tmp_path, given, said):
    with pytest.raises(ConfigError, match=said) as refused, hooked(tmp_path, given) as service:
        service.backend.check()
    assert SECRET not in str(refused.value)
