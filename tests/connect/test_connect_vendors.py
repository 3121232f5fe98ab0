"""What each sender's deliveries are understood as: every kind of event, and what is not one."""

import json
import time

import payloads
import pytest
from hooked import MAP, SECRET

from devops_agent.connect.settings import Hook
from devops_agent.connect.vendors import hear
from devops_agent.errors import RequestError


def hook(kind, **more):
    base = {"kind": kind, "secret": SECRET, "name": kind}
    if kind == "generic":
        base["map"] = MAP
    if kind == "jenkins":
        base["api"] = "https://jenkins.example"
    return Hook.model_validate({**base, **more})


def heard(kind, body, hooked=None, **headers):
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return hear(hooked or hook(kind), given, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_alertmanager_gives_a_signal_for_each_alert():
    body = payloads.alertmanager(
        payloads.alert("DiskAlmostFull"), payloads.alert("InstanceDown", "resolved", ended=5), truncatedAlerts=3
    )
    found = heard("alertmanager", body).signals
    assert [each.state for each in found] == ["firing", "resolved"]
    assert found[0].title == "DiskAlmostFull: DiskAlmostFull on db-3:9100"
    assert "no space left on device" in found[0].text
    assert "3 more alerts" in found[0].text
    assert found[0].labels["severity"] == "critical"
    assert found[0].key == body["alerts"][0]["fingerprint"]
    assert found[0].at == pytest.approx(time.time() - 600, abs=5)
    assert found[1].at == pytest.approx(time.time() - 5, abs=5)


def test_an_older_alertmanager_sends_no_fingerprint_and_equal_labels_are_one_alert():
    one, other = payloads.alert(), payloads.alert()
    del one["fingerprint"], other["fingerprint"]
    other["annotations"]["summary"] = "said differently"
    first, second = heard("alertmanager", payloads.alertmanager(one, other)).signals
    assert first.key == second.key


def test_grafana_speaks_like_alertmanager_and_says_the_values():
    (found,) = heard("grafana", payloads.grafana()).signals
    assert found.state == "firing"
    assert "value=97.3" in found.text


@pytest.mark.parametrize("conclusion", ["failure", "timed_out", "startup_failure"])
def test_a_failed_run_of_github_opens(conclusion):
    (found,) = heard("github", payloads.workflow_run(conclusion), X_GitHub_Event="workflow_run").signals
    assert found.state == "firing"
    assert found.key == "acme/shop/suite/5001"
    assert found.fetch.way == "github_run"
    assert found.fetch.ids == {"repository": "acme/shop", "id": 9001, "attempt": 1}
    assert found.labels["github.pull_request"] == "17"
    assert found.labels["github.branch"] == "main"


@pytest.mark.parametrize("conclusion", ["cancelled", "skipped", "neutral", "stale", "action_required", None])
def test_what_neither_failed_nor_succeeded_is_ignored(conclusion):
    found = heard("github", payloads.workflow_run(conclusion), X_GitHub_Event="workflow_run")
    assert not found.signals
    assert found.ignored


def test_run_check_and_suite_of_github_are_one_thing():
    run = heard("github", payloads.workflow_run(), X_GitHub_Event="workflow_run").signals[0]
    check = heard("github", payloads.check_run(), X_GitHub_Event="check_run").signals[0]
    suite = heard("github", payloads.check_suite(), X_GitHub_Event="check_suite").signals[0]
    assert run.key == check.key == suite.key
    assert (check.fetch.way, suite.fetch.way) == ("github_job", "github_suite")
    foreign = heard("github", payloads.check_run(slug="other-ci"), X_GitHub_Event="check_run").signals[0]
    assert foreign.fetch.way == "github_check"
    assert "2 tests failed" in foreign.text


def test_a_check_that_succeeds_does_not_close_its_suite():
    assert not heard("github", payloads.check_run("success"), X_GitHub_Event="check_run").signals
    (closing,) = heard("github", payloads.check_suite("success"), X_GitHub_Event="check_suite").signals
    assert closing.state == "resolved"


@pytest.mark.parametrize("event", ["ping", "push", "workflow_job", "pull_request", ""])
def test_other_events_of_github_are_ignored(event):
    body = {"zen": "Keep it simple.", "hook_id": 1, "action": "completed", "workflow_job": {"id": 1}}
    assert heard("github", body, X_GitHub_Event=event).ignored


@pytest.mark.parametrize("action", ["requested", "in_progress"])
def test_a_run_that_goes_on_is_ignored(action):
    assert heard("github", payloads.workflow_run(None, action), X_GitHub_Event="workflow_run").ignored


@pytest.mark.parametrize("name", ["acme/../../admin", "https://evil.example/x", "acme", "", "a b/c", "acme/shop?x=1"])
def test_a_repository_with_a_strange_name_is_refused(name):
    body = payloads.workflow_run()
    body["repository"]["full_name"] = name
    with pytest.raises(RequestError, match=r"repository\.full_name"):
        heard("github", body, X_GitHub_Event="workflow_run")


def test_github_may_send_a_form():
    raw = b"payload=" + json.dumps(payloads.workflow_run()).replace(" ", "+").replace("&", "%26").encode()
    found = heard("github", raw, X_GitHub_Event="workflow_run", Content_Type="application/x-www-form-urlencoded")
    assert found.signals[0].key == "acme/shop/suite/5001"


def test_a_failed_pipeline_of_gitlab_names_the_jobs_that_may_not_fail():
    (found,) = heard("gitlab", payloads.pipeline()).signals
    assert found.fetch.ids == {"project": 55, "pipeline": 3100, "jobs": [803]}
    assert found.key == "55/3100"
    assert found.title == "acme/shop: pipeline failed on main (unit)"
    assert "script_failure" in found.text
    assert found.labels["gitlab.merge_request"] == "8"
    (job,) = heard("gitlab", payloads.build()).signals
    assert (job.key, job.series) == (found.key, found.series)


@pytest.mark.parametrize("status", ["created", "pending", "running", "canceled", "skipped", "manual", "scheduled"])
def test_a_pipeline_that_has_not_ended_so_is_ignored(status):
    assert heard("gitlab", payloads.pipeline(status)).ignored
    assert heard("gitlab", payloads.build(status)).ignored


def test_a_job_of_gitlab_that_may_fail_and_other_events_are_ignored():
    assert heard("gitlab", payloads.build(build_allow_failure=True)).ignored
    assert heard("gitlab", payloads.build("success")).ignored
    for kind in ("push", "tag_push", "merge_request", "note", "deployment"):
        assert heard("gitlab", {"object_kind": kind}).ignored


@pytest.mark.parametrize("phase", ["COMPLETED", "FINALIZED"])
def test_a_build_of_jenkins_that_failed(phase):
    (found,) = heard("jenkins", payloads.jenkins(phase=phase)).signals
    assert found.fetch.ids == {"path": "job/shop/18/"}
    assert (found.key, found.series) == ("job/shop/18/", "job/shop")
    assert found.labels["jenkins.commit"] == "c6d86dc654b1"


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        ("QUEUED", "FAILURE"),
        ("STARTED", "FAILURE"),
        ("COMPLETED", "ABORTED"),
        ("COMPLETED", "NOT_BUILT"),
        ("FINALIZED", ""),
    ],
)
def test_other_phases_of_jenkins_are_ignored(phase, status):
    assert heard("jenkins", payloads.jenkins(status, phase)).ignored


@pytest.mark.parametrize(
    "url",
    [
        "../../script/",
        "job/a/../../x/1/",
        "http://evil.example/job/a/1/",
        "job/a/%2e%2e/1/",
        "job/a%2fb/1/",
        "job/a/1/?q",
        "",
    ],
)
def test_an_address_of_jenkins_that_leads_elsewhere_is_refused(url):
    with pytest.raises(RequestError, match=r"build\.url"):
        heard("jenkins", payloads.jenkins(url=url))


def test_pipelines_in_folders_of_jenkins_are_known():
    (found,) = heard("jenkins", payloads.jenkins(url="job/team/job/shop/job/feature%20x/3/")).signals
    assert found.fetch.ids["path"] == "job/team/job/shop/job/feature%20x/3/"


@pytest.mark.parametrize(
    ("kind", "state"),
    [("incident.triggered", "firing"), ("incident.reopened", "firing"), ("incident.resolved", "resolved")],
)
def test_events_of_pagerduty_that_open_and_close(kind, state):
    found = heard("pagerduty", payloads.pagerduty(kind))
    assert found.signals[0].state == state
    assert found.signals[0].key == "Q1"
    assert found.identity is not None
    if state == "firing":
        assert "checkout answers 502" in found.signals[0].text
        assert found.signals[0].labels["service"] == "Checkout"


@pytest.mark.parametrize(
    "kind",
    [
        "acknowledged",
        "annotated",
        "delegated",
        "escalated",
        "priority_updated",
        "reassigned",
        "responder.added",
        "responder.replied",
        "status_update_published",
        "unacknowledged",
    ],
)
def test_other_events_of_pagerduty_are_ignored(kind):
    assert heard("pagerduty", payloads.pagerduty(f"incident.{kind}")).ignored


def test_pagerduty_pings_and_services_are_ignored():
    assert heard("pagerduty", {"event": {"id": "x", "event_type": "pagey.ping", "data": {"message": "hi"}}}).ignored
    assert heard("pagerduty", payloads.pagerduty("service.updated")).ignored


def test_an_error_of_sentry_is_told_as_its_platform_prints_it():
    for resource in ("event_alert", "error"):
        (found,) = heard("sentry", payloads.sentry_event(resource), Sentry_Hook_Resource=resource).signals
        assert found.key == "issue/1170820242"
        assert 'File "/srv/shop/cart.py", line 12, in total' in found.text
        assert "KeyError: 'total'" in found.text
        assert found.text.index("app.py") < found.text.index("cart.py")
        assert found.labels["environment"] == "production"


@pytest.mark.parametrize(
    ("action", "state"),
    [
        ("created", "firing"),
        ("unresolved", "firing"),
        ("resolved", "resolved"),
        ("archived", "resolved"),
        ("assigned", None),
    ],
)
def test_issues_of_sentry(action, state):
    found = heard("sentry", payloads.sentry_issue(action), Sentry_Hook_Resource="issue")
    assert [each.state for each in found.signals] == ([state] if state else [])


@pytest.mark.parametrize(("action", "state"), [("critical", "firing"), ("warning", "firing"), ("resolved", "resolved")])
def test_metric_alerts_of_sentry(action, state):
    (found,) = heard("sentry", payloads.sentry_metric(action), Sentry_Hook_Resource="metric_alert").signals
    assert (found.state, found.key) == (state, "metric/4")


@pytest.mark.parametrize("resource", ["installation", "comment", "seer", ""])
def test_other_resources_of_sentry_are_ignored(resource):
    assert heard("sentry", {"action": "created", "data": {}}, Sentry_Hook_Resource=resource).ignored


def test_a_mapping_says_where_the_fields_stand():
    body = {
        "alert": {"title": "backup failed", "id": 7, "state": "OPEN", "log": "rsync error", "team": "ops", "when": 1}
    }
    (found,) = heard("generic", body).signals
    assert (found.title, found.key, found.labels) == ("backup failed", "7", {"team": "ops"})
    assert found.text == "backup failed\nrsync error"
    body["alert"]["state"] = "closed"
    assert heard("generic", body).signals[0].state == "resolved"
    body["alert"]["state"] = "muted"
    assert heard("generic", body).ignored


def test_a_mapping_of_a_list_with_escaped_names():
    many = hook("generic", map={"each": "/a~1b", "title": "/t", "delivery": "/id"})
    found = heard("generic", {"id": "d1", "a/b": [{"t": "one"}, {"t": "two"}]}, many)
    assert [each.title for each in found.signals] == ["one", "two"]
    assert found.identity


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("alertmanager", {"alerts": "all"}, "alerts"),
        ("alertmanager", {"alerts": [{"status": "on"}]}, "status"),
        ("alertmanager", {"alerts": [{"status": "firing", "labels": 3}]}, "labels"),
        ("alertmanager", [], "body"),
        ("pagerduty", {"event": {}}, "event_type"),
        ("pagerduty", {"event": {"event_type": "incident.triggered", "data": []}}, r"event\.data"),
        ("gitlab", {"object_kind": "pipeline", "object_attributes": {"status": "failed"}}, "project"),
        ("gitlab", {"object_kind": "build", "build_status": "failed", "project_id": "../1"}, "project_id"),
        ("jenkins", {"name": "x"}, "build"),
        ("generic", {"alert": {"state": "open"}}, "/alert/title"),
        ("sentry", {"action": "created", "data": {"issue": {}}}, "issue"),
    ],
)
def test_a_body_that_is_not_as_documented_is_refused_with_the_field(kind, body, field):
    with pytest.raises(RequestError, match=field):
        heard(kind, body, Sentry_Hook_Resource="issue")


@pytest.mark.parametrize("raw", [b"", b"{", b'{"alerts": [', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN'])
def test_a_body_that_is_cut_off_or_no_json_is_refused(raw):
    with pytest.raises(RequestError, match="body"):
        heard("alertmanager", raw)


def test_strange_values_are_cut_cleaned_or_left_out():
    one = payloads.alert()
    one["labels"] |= {"nul": "a\0b", "half": "\ud800x", "long": "y" * 9999, "list": [1]}
    one["annotations"]["description"] = 5
    one["startsAt"] = "9999-12-31T23:59:59Z"
    (found,) = heard("alertmanager", payloads.alertmanager(one)).signals
    assert found.labels["nul"] == "a\ufffdb"
    assert len(found.labels["long"]) == 500
    assert "list" not in found.labels
    assert found.at <= time.time()
    found.model_dump_json().encode()
