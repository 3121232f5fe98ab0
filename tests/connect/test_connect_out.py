"""What goes out: to receivers that take it, are down, slow or refuse; nothing lost, nothing twice, no secret in it."""

import json
import re
import time

import payloads
import pytest
from hooked import SECRET, deliver, hooked, rows, until, worked_off
from sqlalchemy import select
from standins import Say, standing_in

from devops_agent.connect import inbox, outbox, signatures
from devops_agent.errors import ConfigError
from devops_agent.jobs.tables import links as link_rows
from devops_agent.jobs.tables import notices

HOOKS = {"am": {"kind": "alertmanager", "secret": SECRET}}
TOKEN = "target-token-0123456789"
KEY = "signing-key-of-the-webhook"


@pytest.fixture
def receiver():
    with standing_in(otherwise=lambda _: Say(200, {})) as found:
        yield found


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(outbox, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(inbox, "TRIES", 1)


def by_apprise(receiver, **more):
    return {"chat": {"kind": "apprise", "url": f"json://127.0.0.1:{receiver.port}/{TOKEN}", **more}}


def by_webhook(receiver, **more):
    return {"wire": {"kind": "webhook", "url": f"{receiver.address}/in?key={TOKEN}", "secret": KEY, **more}}


def states(service):
    with service.backend.jobs.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(notices.c.event, notices.c.state, notices.c.tries))]


def alarm(service, **labels):
    assert (
        deliver(service, "alertmanager", payloads.alertmanager(payloads.alert(**labels)), name="am").status_code == 202
    )
    worked_off(service)


def test_a_message_says_cause_evidence_plan_and_where_to_decide(tmp_path, receiver):
    with hooked(tmp_path, HOOKS, notify=by_apprise(receiver), public_url="https://agent.example") as service:
        alarm(service)
        until(lambda: receiver.asked)
        (job,) = rows(service)
    (came,) = receiver.asked
    said = came.json
    assert said["title"] == "Approval wanted: DiskAlmostFull: DiskAlmostFull on db-3:9100"
    text = said["message"]
    assert "Cause: config_invalid" in text
    assert "append [change, local] to see it" in text
    assert f"devops-agent approve {job.id}" in text
    assert f"https://agent.example/dashboard/jobs/{job.id}" in text
    assert "/links/" not in text  # nobody is named who alone reads there


def test_the_end_is_told_too_each_once(tmp_path, receiver):
    with hooked(tmp_path, HOOKS, notify=by_apprise(receiver)) as service:
        alarm(service)
        until(lambda: len(receiver.asked) == 1)
        service.http.post(f"/jobs/{rows(service)[0].id}/approve", json={"by": "anna"})
        until(lambda: len(receiver.asked) == 2)
        until(lambda: [row[:2] for row in states(service)] == [("approval", "sent"), ("resolved", "sent")])
        assert len(receiver.asked) == 2
    assert [each.json["type"] for each in receiver.asked] == ["warning", "success"]


def test_only_what_is_wanted_is_told_and_repeats_are_not(tmp_path, receiver):
    notify = by_apprise(receiver, on=["resolved"]) | {
        "elsewhere": {"kind": "apprise", "url": f"json://127.0.0.1:{receiver.port}", "places": ["other"]},
        "people": {"kind": "apprise", "url": f"json://127.0.0.1:{receiver.port}", "sources": ["cli"]},
    }
    with hooked(tmp_path, HOOKS, notify=notify) as service:
        alarm(service)
        deliver(service, "alertmanager", payloads.alertmanager(), name="am")
        until(lambda: rows(service)[0].repeats == 1)
        time.sleep(1.2)
        assert states(service) == []
        service.http.post(f"/jobs/{rows(service)[0].id}/approve", json={"by": "anna"})
        until(lambda: [row[:2] for row in states(service)] == [("resolved", "sent")])


def test_a_receiver_that_is_down_gets_it_when_it_is_back(tmp_path):
    with standing_in() as gone:
        port = gone.port
    notify = {"chat": {"kind": "apprise", "url": f"json://127.0.0.1:{port}/{TOKEN}"}}
    with hooked(tmp_path, HOOKS, notify=notify) as service:
        alarm(service)
        until(lambda: any(row[2] >= 2 for row in states(service)))
        problem = problems(service)[0]
        assert TOKEN not in problem
        assert "could not deliver" in problem
        with standing_in(port, otherwise=lambda _: Say(200, {})) as back:
            until(lambda: back.asked)
            until(lambda: [row[:2] for row in states(service)] == [("approval", "sent")])
            assert len(back.asked) == 1


def problems(service):
    with service.backend.jobs.engine.connect() as connection:
        return [each or "" for each in connection.execute(select(notices.c.problem)).scalars()]


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_a_receiver_that_refuses_is_tried_again(tmp_path, receiver, status):
    receiver.answers = {f"POST /{TOKEN}": (Say(status), Say(status), Say(200)), "POST /in": (Say(status), Say(200))}
    with hooked(tmp_path, HOOKS, notify=by_apprise(receiver) | by_webhook(receiver)) as service:
        alarm(service)
        until(lambda: sorted(states(service)) == [("approval", "sent", 2), ("approval", "sent", 3)])


def test_a_slow_receiver_holds_up_no_other(tmp_path, receiver):
    def slow(_):
        time.sleep(6)
        return Say(200)

    receiver.answers = {f"POST /{TOKEN}": slow}
    with hooked(tmp_path, HOOKS, notify=by_apprise(receiver) | by_webhook(receiver)) as service:
        alarm(service)
        until(lambda: receiver.named("POST", "/in"), 4)
        until(lambda: ("approval", "due", 1) in states(service) or ("approval", "due", 2) in states(service))


def test_what_is_gone_for_good_or_too_old_is_given_up_with_the_reason(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(outbox, "GIVE_UP_SECONDS", 0.3)
    receiver.answers = {"POST /in": Say(410), f"POST /{TOKEN}": Say(500)}
    with hooked(tmp_path, HOOKS, notify=by_apprise(receiver) | by_webhook(receiver)) as service:
        alarm(service)
        until(lambda: [row[1] for row in states(service)] == ["failed", "failed"])
        assert any("answered 410" in each for each in problems(service))
        shown = traffic(tmp_path, "--state", "failed")
        assert {(row["name"], row["state"]) for row in shown} == {("chat", "failed"), ("wire", "failed")}
        assert TOKEN not in str(shown)
        assert traffic(tmp_path, "--state", "sent") == []


def traffic(folder, *words):
    from typer.testing import CliRunner

    from devops_agent.cli.app import build

    given = {"DEVOPS_AGENT_DATA_DIR": str(folder / "data")}
    done = CliRunner().invoke(build(), ["traffic", "--json", *words], env=given)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_what_is_moot_by_the_time_it_can_be_sent_is_not_sent(tmp_path, receiver):
    receiver.answers = {"POST /in": (Say(500),)}
    with hooked(tmp_path, HOOKS, notify=by_webhook(receiver)) as service:
        alarm(service)
        until(lambda: receiver.asked)
        receiver.answers = {}
        service.http.post(f"/jobs/{rows(service)[0].id}/deny", json={"by": "anna"})
        until(lambda: sorted(row[1] for row in states(service)) == ["dropped", "sent"])


def test_the_webhook_is_signed_and_keeps_its_id_over_all_tries(tmp_path, receiver):
    receiver.answers = {"POST /in": (Say(500), Say(302, b"", {"Location": "http://127.0.0.1:9/"}), Say(200))}
    with hooked(tmp_path, HOOKS, notify=by_webhook(receiver)) as service:
        alarm(service)
        until(lambda: [row[1] for row in states(service)] == ["sent"])
    assert len(receiver.asked) == 3
    assert len({each.headers["webhook-id"] for each in receiver.asked}) == 1
    for each in receiver.asked:
        head = each.headers
        signed = signatures.sign(KEY, head["webhook-id"], int(head["webhook-timestamp"]), each.body)
        assert head["webhook-signature"] == signed
    said = receiver.asked[-1].json
    assert said["type"] == "incident.approval_wanted"
    assert said["data"]["plan"]["actions"][0]["tool"] == "append"
    assert said["data"]["cause"] == "config_invalid"


def test_no_secret_is_in_any_message_and_nobody_is_called(tmp_path, receiver):
    one = payloads.alert()
    one["annotations"]["summary"] = f"@channel <!here> password=hunter2hunter2 {TOKEN} {KEY} {SECRET}"
    with hooked(tmp_path, HOOKS, notify=by_apprise(receiver) | by_webhook(receiver)) as service:
        deliver(service, "alertmanager", payloads.alertmanager(one), name="am")
        until(lambda: len(receiver.asked) == 2)
    for each in receiver.asked:
        body = each.body.decode()
        assert not [word for word in ("hunter2", TOKEN, KEY, SECRET) if word in body]
    chat = next(each.json for each in receiver.asked if "message" in each.json)
    assert "@channel" not in chat["message"] + chat["title"]
    assert "<!here" not in chat["message"] + chat["title"]


def test_what_was_told_before_anybody_was_named_is_not_told(tmp_path, receiver):
    with hooked(tmp_path, HOOKS) as service:
        alarm(service)
    with hooked(tmp_path, HOOKS, notify=by_apprise(receiver)) as service:
        time.sleep(1.2)
        assert states(service) == []
        alarm(service, instance="db-4:9100")
        until(lambda: len(receiver.asked) == 1)


def test_nothing_is_lost_where_the_process_ends_before_it_was_sent(tmp_path):
    with standing_in() as gone:
        notify = by_webhook(gone)
        port = gone.port
    with hooked(tmp_path, HOOKS, notify=notify) as service:
        alarm(service)
        until(lambda: states(service))
    with standing_in(port, otherwise=lambda _: Say(200)) as back, hooked(tmp_path, HOOKS, notify=notify) as service:
        until(lambda: [row[1] for row in states(service)] == ["sent"])
        assert len(back.asked) == 1


def test_links_are_made_when_a_message_is_sent_and_kept_as_hashes(tmp_path, receiver):
    notify = by_apprise(receiver, approver="anna") | by_webhook(receiver, approver="ben")
    with hooked(tmp_path, HOOKS, notify=notify, public_url="https://agent.example/") as service:
        alarm(service)
        until(lambda: len(receiver.asked) == 2)
        text = " ".join(each.body.decode() for each in receiver.asked)
        tokens = re.findall(r"https://agent\.example/links/([\w.-]+)", text)
        assert len(set(tokens)) == 2
        with service.backend.jobs.engine.connect() as connection:
            kept = connection.execute(select(link_rows)).mappings().all()
        assert {each["person"] for each in kept} == {"anna", "ben"}
        assert not any(token in json.dumps([dict(each) for each in kept]) for token in tokens)
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert not any(token.encode() in stored for token in tokens)


CHANGE = {"token": "api-token-for-comments", "secret": SECRET}


def change_of(service, run=9001, suite=5001, **more):
    body = payloads.workflow_run(run=run, suite=suite, **more)
    deliver(service, "github", body, name="gh", X_GitHub_Event="workflow_run")


def github(receiver):
    hook = {"gh": {"kind": "github", "api": receiver.address, **CHANGE}}
    return hook, {"change": {"kind": "github", "hook": "gh"}}


def test_one_comment_on_the_pull_request_is_written_and_then_changed(tmp_path, receiver):
    there = "/repos/acme/shop/issues/17/comments"
    receiver.otherwise = lambda _: Say(410)
    receiver.answers = {
        f"GET {there}": [],
        f"POST {there}": {"id": 900},
        "PATCH /repos/acme/shop/issues/comments/900": {"id": 900},
    }
    hooks, notify = github(receiver)
    with hooked(tmp_path, hooks, notify=notify, public_url="https://agent.example") as service:
        change_of(service)
        until(lambda: receiver.named("POST", there))
        change_of(service, 9002, 5002, updated_at=payloads.iso(50))
        until(lambda: receiver.named("PATCH"))
        worked_off(service)
        service.http.post(f"/jobs/{rows(service)[1].id}/approve", json={"by": "anna"})
        until(lambda: len(receiver.named("PATCH")) == 2)
        service.http.post(f"/jobs/{rows(service)[0].id}/deny", json={"by": "anna"})
        until(lambda: [row[1] for row in states(service)].count("due") == 0 and len(states(service)) == 4)
    assert len(receiver.named("POST")) == 1
    assert len(receiver.named("PATCH")) == 2  # what an older run says does not replace what the newer one said
    first, last = receiver.named("POST")[0].json["body"], receiver.named("PATCH")[-1].json["body"]
    assert first.startswith("<!-- devops-agent ")
    assert "## Needs approval" in first
    assert "## Resolved" in last
    assert "https://agent.example/dashboard/jobs/" in last
    assert {each.headers["authorization"] for each in receiver.asked} == {f"Bearer {CHANGE['token']}"}


def test_a_comment_whose_number_was_lost_is_found_and_one_that_was_deleted_is_written_again(tmp_path, receiver):
    there = "/repos/acme/shop/issues/17/comments"
    written = []

    def create(asked):
        written.append({"id": 900 + len(written), "body": asked.json["body"]})
        return Say(201, b"cut off" if len(written) == 1 else written[-1])

    receiver.otherwise = lambda _: Say(404)
    receiver.answers = {f"GET {there}": lambda _: Say(200, written), f"POST {there}": create}
    receiver.answers["PATCH /repos/acme/shop/issues/comments/900"] = (Say(200, {"id": 900}), Say(404))
    hooks, notify = github(receiver)
    with hooked(tmp_path, hooks, notify=notify) as service:
        change_of(service)
        until(lambda: [row[:2] for row in states(service)] == [("approval", "sent")])
        assert len(written) == 1
        worked_off(service)
        service.http.post(f"/jobs/{rows(service)[0].id}/approve", json={"by": "anna"})
        until(lambda: len(written) == 2)


def test_a_commit_without_a_pull_request_is_commented_on_itself(tmp_path, receiver):
    sha = payloads.workflow_run()["workflow_run"]["head_sha"]
    receiver.otherwise = lambda asked: Say(200, []) if asked.method == "GET" else Say(201, {"id": 5})
    hooks, notify = github(receiver)
    with hooked(tmp_path, hooks, notify=notify) as service:
        change_of(service, pull_requests=[])
        until(lambda: receiver.named("POST", f"/repos/acme/shop/commits/{sha}/comments"))


def test_the_note_on_a_merge_request_of_gitlab(tmp_path, receiver):
    notes = "/api/v4/projects/55/merge_requests/8/notes"
    receiver.answers = {f"GET {notes}": [], f"POST {notes}": {"id": 31}, f"PUT {notes}/31": {"id": 31}}
    hooks = {"gl": {"kind": "gitlab", "api": receiver.address, **CHANGE}}
    with hooked(tmp_path, hooks, notify={"change": {"kind": "gitlab", "hook": "gl"}}) as service:
        deliver(service, "gitlab", payloads.pipeline(), name="gl")
        until(lambda: receiver.named("POST"))
        worked_off(service)
        service.http.post(f"/jobs/{rows(service)[0].id}/approve", json={"by": "anna"})
        until(lambda: receiver.named("PUT"))
    assert receiver.named("PUT")[0].headers["private-token"] == CHANGE["token"]


def test_a_commit_of_gitlab_is_talked_about_in_one_discussion(tmp_path, receiver):
    talks = "/api/v4/projects/55/repository/commits/bcbb5ec396a2c0f828686f14fac9b80b780504f2/discussions"
    receiver.answers = {
        f"POST {talks}": {"id": "d1", "notes": [{"id": 7}]},
        f"PUT {talks}/d1/notes/7": {"id": 7},
    }
    hooks = {"gl": {"kind": "gitlab", "api": receiver.address, **CHANGE}}
    with hooked(tmp_path, hooks, notify={"change": {"kind": "gitlab", "hook": "gl"}}) as service:
        deliver(service, "gitlab", payloads.pipeline(merge_request=None), name="gl")
        until(lambda: receiver.named("POST"))
        worked_off(service)
        service.http.post(f"/jobs/{rows(service)[0].id}/deny", json={"by": "anna"})
        until(lambda: receiver.named("PUT"))


@pytest.mark.parametrize(
    ("notify", "said"),
    [
        ({"x": {"kind": "apprise"}}, "url: missing"),
        ({"x": {"kind": "apprise", "url": "nonsense"}}, r"notify\.x\.url: not an address that Apprise knows"),
        ({"x": {"kind": "webhook", "url": "https://a.example", "secret": "short"}}, "secret: missing or too short"),
        ({"x": {"kind": "webhook", "url": "ftp://a.example", "secret": KEY}}, "expected an address"),
        ({"x": {"kind": "github"}}, "hook: missing"),
        ({"x": {"kind": "github", "hook": "am"}}, r"notify\.x\.hook: no github hook"),
        ({"x": {"kind": "github", "hook": "gh"}}, r"notify\.x\.token: missing"),
        ({"x": {"kind": "github", "hook": "gh", "approver": "a"}}, "approver: a comment is read by many"),
        ({"x": {"kind": "apprise", "url": "json://a.example", "approver": "a"}}, "links need DEVOPS_AGENT_PUBLIC_URL"),
        ({"x": {"kind": "apprise", "url": "json://a.example", "on": ["weekends"]}}, r"notify\.x\.on"),
    ],
)
def test_wrong_targets_are_refused_with_the_field(tmp_path, notify, said):
    given = HOOKS | {"gh": {"kind": "github", "secret": SECRET}}
    with pytest.raises(ConfigError, match=said), hooked(tmp_path, given, notify=notify) as service:
        service.backend.check()
