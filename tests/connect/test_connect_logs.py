"""Logs of what failed, fetched from stand-ins of GitHub, GitLab and Jenkins: whole, late, elsewhere, never."""

import base64

import payloads
import pytest
from hooked import SECRET, deliver, hooked, rows, until, worked_off
from standins import Say, standing_in, to

from devops_agent.connect import inbox

TOKEN = "token-for-the-api-of-it"
LOG = (
    b"2026-01-31T10:00:00.0Z npm ERR! code ELIFECYCLE\n"
    b"2026-01-31T10:00:01.0Z ##[error]Process completed with exit code 1.\n"
)
RUN = "/repos/acme/shop/actions/runs/9001/attempts/1/jobs"
JOBS = {
    "total_count": 2,
    "jobs": [{"id": 71, "name": "lint", "conclusion": "success"}, {"id": 72, "name": "unit", "conclusion": "failure"}],
}


@pytest.fixture
def api():
    with standing_in() as found:
        yield found


@pytest.fixture
def storage():
    with standing_in() as found:
        yield found


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(inbox, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(inbox, "LONGEST_WAIT", 0.2)


def log_of(service, number=0):
    return service.backend.jobs.report(rows(service)[number].id).incident.log


def hook(kind, api, **more):
    return {kind: {"kind": kind, "secret": SECRET, "api": api.address, "token": TOKEN, **more}}


def test_the_log_of_the_failed_job_is_fetched_and_the_token_stays_at_the_api(tmp_path, api, storage):
    api.answers = {
        f"GET {RUN}": JOBS,
        "GET /repos/acme/shop/actions/jobs/72/logs": to(f"{storage.address}/logs/72?sig=secret"),
    }
    storage.answers = {"GET /logs/72": LOG}
    with hooked(tmp_path, hook("github", api, storage_hosts=["127.0.0.1"])) as service:
        deliver(service, "github", payloads.workflow_run(), X_GitHub_Event="workflow_run")
        worked_off(service)
        assert log_of(service) == LOG.decode()
    assert {each.headers["authorization"] for each in api.asked} == {f"Bearer {TOKEN}"}
    (fetched,) = storage.asked
    assert "authorization" not in fetched.headers
    assert TOKEN not in str(fetched)


@pytest.mark.parametrize(
    "there", ["http://localhost:{port}/x", "http://user@127.0.0.1:{port}/x", "ftp://127.0.0.1/x", "//", ""]
)
def test_a_redirect_to_a_host_that_is_not_configured_is_not_followed(tmp_path, api, storage, there):
    api.answers = {f"GET {RUN}": JOBS}
    api.answers["GET /repos/acme/shop/actions/jobs/72/logs"] = to(there.format(port=storage.port))
    with hooked(tmp_path, hook("github", api, storage_hosts=["127.0.0.1"])) as service:
        deliver(service, "github", payloads.workflow_run(), X_GitHub_Event="workflow_run")
        worked_off(service)
        assert "could not be fetched" in log_of(service)
    assert storage.asked == []


def test_a_redirect_within_the_api_keeps_the_token_and_a_circle_ends(tmp_path, api):
    api.answers = {f"GET {RUN}": to("/repositories/71/jobs"), "GET /repositories/71/jobs": JOBS}
    api.answers["GET /repos/acme/shop/actions/jobs/72/logs"] = to("/repos/acme/shop/actions/jobs/72/logs")
    with hooked(tmp_path, hook("github", api)) as service:
        deliver(service, "github", payloads.workflow_run(), X_GitHub_Event="workflow_run")
        worked_off(service)
        assert "more than 3 redirects" in log_of(service)
    assert api.named("GET", "/repositories/71")[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_log_that_is_not_there_yet_is_asked_for_again(tmp_path, api):
    late = (Say(404), Say(503, b"", {"Retry-After": "0"}), Say(429), LOG)
    api.answers = {f"GET {RUN}": JOBS, "GET /repos/acme/shop/actions/jobs/72/logs": late}
    with hooked(tmp_path, hook("github", api)) as service:
        assert deliver(service, "github", payloads.workflow_run(), X_GitHub_Event="workflow_run").status_code == 202
        worked_off(service)
        assert log_of(service) == LOG.decode()
        assert len(rows(service)) == 1


@pytest.mark.parametrize("status", [401, 403, 410, 500])
def test_what_the_hook_itself_says_is_worked_on_where_no_log_is_to_be_had(tmp_path, api, status):
    api.otherwise = lambda _: Say(status, {"message": "no"})
    with hooked(tmp_path, hook("github", api)) as service:
        deliver(service, "github", payloads.workflow_run(), X_GitHub_Event="workflow_run")
        worked_off(service)
        log = log_of(service)
    assert "ERROR build of acme/shop ended with failure" in log
    assert f"answered {status}" in log
    assert len(api.asked) == (inbox.TRIES if status == 500 else 1)


def test_of_a_log_of_any_length_the_end_is_kept(tmp_path, api):
    api.answers = {f"GET {RUN}": JOBS}
    api.answers["GET /repos/acme/shop/actions/jobs/72/logs"] = b"noise\n" * 500_000 + LOG
    with hooked(tmp_path, hook("github", api, log_bytes=2000)) as service:
        deliver(service, "github", payloads.workflow_run(), X_GitHub_Event="workflow_run")
        worked_off(service)
        log = log_of(service)
    assert log.endswith(LOG.decode())
    assert len(log) < 2200
    assert "bytes before this were left out" in log


def test_a_check_of_github_actions_is_the_job_itself_and_a_pull_request_of_a_fork_is_found(tmp_path, api):
    sha = payloads.check_run()["check_run"]["head_sha"]
    api.answers = {
        "GET /repos/acme/shop/actions/jobs/7001/logs": LOG,
        f"GET /repos/acme/shop/commits/{sha}/pulls": [
            {"number": 40, "state": "closed"},
            {"number": 41, "state": "open"},
        ],
    }
    with hooked(tmp_path, hook("github", api)) as service:
        deliver(service, "github", payloads.check_run(), X_GitHub_Event="check_run")
        worked_off(service)
        incident = service.backend.jobs.report(rows(service)[0].id).incident
    assert incident.log == LOG.decode()
    assert incident.labels["github.pull_request"] == "41"


def test_a_suite_of_another_app_is_told_by_its_checks_and_annotations(tmp_path, api):
    check = payloads.check_run(slug="other-ci")["check_run"]
    note = {"path": "cart.py", "start_line": 12, "annotation_level": "failure", "message": "KeyError: 'total'"}
    api.answers = {
        "GET /repos/acme/shop/check-suites/5001/check-runs": {
            "check_runs": [check, {"id": 1, "conclusion": "success"}]
        },
        "GET /repos/acme/shop/check-runs/7001/annotations": [note],
    }
    with hooked(tmp_path, hook("github", api)) as service:
        deliver(service, "github", payloads.check_suite(), X_GitHub_Event="check_suite")
        worked_off(service)
        log = log_of(service)
    assert "2 tests failed" in log
    assert "cart.py:12: failure: KeyError: 'total'" in log


def test_the_trace_of_the_failed_job_of_gitlab(tmp_path, api):
    api.answers = {"GET /api/v4/projects/55/jobs/803/trace": LOG}
    with hooked(tmp_path, hook("gitlab", api)) as service:
        deliver(service, "gitlab", payloads.pipeline())
        worked_off(service)
        assert log_of(service) == LOG.decode()
    assert [each.headers["private-token"] for each in api.asked] == [TOKEN]


def test_a_pipeline_of_gitlab_that_names_no_jobs_is_asked_for_them(tmp_path, api):
    failed = [{"id": 4, "allow_failure": True}, {"id": 5}, {"id": 6}]
    api.answers = {
        "GET /api/v4/projects/55/pipelines/3100/jobs": failed,
        "GET /api/v4/projects/55/jobs/5/trace": b"ERROR: five\n",
        "GET /api/v4/projects/55/jobs/6/trace": b"ERROR: six\n",
    }
    with hooked(tmp_path, hook("gitlab", api)) as service:
        deliver(service, "gitlab", payloads.pipeline(builds=[]))
        worked_off(service)
        assert log_of(service) == "===== job 5 =====\nERROR: five\n\n===== job 6 =====\nERROR: six\n"


def test_the_console_of_jenkins_is_asked_of_the_configured_address_only(tmp_path, api):
    api.answers = {"GET /job/shop/18/consoleText": LOG}
    with hooked(tmp_path, hook("jenkins", api, user="bot")) as service:
        deliver(service, "jenkins", payloads.jenkins())
        worked_off(service)
        assert log_of(service) == LOG.decode()
    wanted = base64.b64encode(f"bot:{TOKEN}".encode()).decode()
    assert [each.headers["authorization"] for each in api.asked] == [f"Basic {wanted}"]


def test_nothing_is_lost_where_the_process_ends_between(tmp_path, api):
    api.answers = {"GET /job/shop/18/consoleText": LOG}
    with hooked(tmp_path, hook("jenkins", api), work=False) as service:
        assert deliver(service, "jenkins", payloads.jenkins()).status_code == 202
        assert rows(service) == []
    assert api.asked == []
    with hooked(tmp_path, hook("jenkins", api)) as service:
        until(lambda: rows(service))
        worked_off(service)
        assert [log_of(service)] == [LOG.decode()]
        assert deliver(service, "jenkins", payloads.jenkins()).status_code == 202  # another body: the time differs
        until(lambda: rows(service)[0].repeats == 1)
        assert len(rows(service)) == 1


def test_who_died_while_fetching_is_taken_over_from(tmp_path, api):
    from sqlalchemy import update

    from devops_agent.jobs.tables import inbox as table
    from devops_agent.jobs.worker import owner
    from devops_agent.model import now

    api.answers = {"GET /job/shop/18/consoleText": LOG}
    machine = owner().partition("/")[0]
    with hooked(tmp_path, hook("jenkins", api), work=False) as service:
        deliver(service, "jenkins", payloads.jenkins())
        with service.backend.jobs.engine.begin() as connection:
            connection.execute(
                update(table).values(owner=f"{machine}/4194303/1.0", lease=now().timestamp() + 300, tries=1)
            )
    with hooked(tmp_path, hook("jenkins", api)) as service:
        worked_off(service)
        assert log_of(service) == LOG.decode()


def test_a_host_that_is_down_or_slow_holds_up_no_other_hook(tmp_path, api, monkeypatch):
    from devops_agent.connect import fetch

    monkeypatch.setattr(fetch, "READ_SECONDS", 0.3)
    monkeypatch.setattr(inbox, "TRIES", 2)

    def slow(_):
        import time

        time.sleep(1)
        return Say(200, LOG)

    api.answers = {"GET /job/shop/18/consoleText": slow}
    given = hook("jenkins", api) | {"down": {"kind": "jenkins", "secret": SECRET, "api": "http://127.0.0.1:9"}}
    given |= {"am": {"kind": "alertmanager", "secret": SECRET}}
    with hooked(tmp_path, given) as service:
        deliver(service, "jenkins", payloads.jenkins())
        deliver(service, "jenkins", payloads.jenkins(), name="down")
        deliver(service, "alertmanager", payloads.alertmanager(), name="am")
        until(lambda: len(rows(service)) == 3)
        worked_off(service)
        logs = sorted(log_of(service, number)[-90:] for number in range(3))
    assert sum("ReadTimeout" in each or "ConnectError" in each for each in logs) == 2
