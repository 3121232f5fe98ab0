"""What pipelines run on failure, run as their runners would: with the service there, slow, broken and gone."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from forge import LOG, Forge, broken, forge
from web_service import serving

INTEGRATIONS = Path(__file__).parents[2] / "integrations"
REPORT = [sys.executable, str(INTEGRATIONS / "report.py")]
SHELL = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")}


def run(*command: str, log: bytes = b"", cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[bytes]:
    """A command as a runner starts it: nothing in its environment but what is given."""
    return subprocess.run(
        command, input=log, env={**SHELL, **env}, capture_output=True, timeout=60, check=False, cwd=cwd
    )


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def there():
    with forge() as running:
        yield running


def address(service) -> str:
    return str(service.http.base_url).rstrip("/")


def github(there: Forge, tmp_path: Path, **more: str) -> dict[str, str]:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12}}))
    return {
        "GITHUB_ACTIONS": "true", "GITHUB_API_URL": there.url, "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7",
        "GITHUB_TOKEN": "forge-token", "GITHUB_EVENT_PATH": str(event), "GITHUB_JOB": "build", "GITHUB_SHA": "abc",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "GITHUB_WORKFLOW": "ci", **more,
    }  # fmt: skip


def test_a_log_is_sent_and_the_answer_printed(service, tmp_path) -> None:
    (tmp_path / "build.log").write_bytes(LOG)
    done = run(*REPORT, "--log", "build.log", "--url", address(service), cwd=tmp_path, CI_JOB_NAME="build")
    assert done.returncode == 0, done.stderr
    assert b"package.json" in done.stdout
    assert done.stdout.startswith(b"## ")
    job = service.backend.jobs.list()[0]
    assert service.backend.jobs.report(job.id).incident.labels["job"] == "build"
    assert job.title == "build"


def test_the_gate_alone_gives_the_agents_status(service) -> None:
    url = address(service)
    assert run(*REPORT, "--log", "-", "--url", url, "--gate", log=LOG).returncode == 3
    assert run(*REPORT, "--log", "-", "--url", url, log=LOG).returncode == 0


def test_a_log_too_long_for_json_goes_as_a_file(service) -> None:
    log = b"a line of a long build that went well\n" * 250_000 + LOG
    done = run(*REPORT, "--log", "-", "--url", address(service), log=log)
    assert done.returncode == 0, done.stderr
    report = service.backend.jobs.report(service.backend.jobs.list()[0].id)
    assert report.digest.lines_read == 250_001
    assert "package.json" in report.digest.evidence[-1].text
    assert report.incident.labels["job"] == report.incident.title == "job"
    assert f"/dashboard/jobs/{report.job}".encode() in done.stdout


@pytest.mark.parametrize("pack", [gzip.compress, lambda log: log.decode().encode("utf-16")])
def test_packed_and_wide_logs_are_sent_as_they_are(service, pack) -> None:
    done = run(*REPORT, "--log", "-", "--url", address(service), "--place", "default", log=pack(LOG))
    assert done.returncode == 0, done.stderr
    assert b"package.json" in done.stdout
    assert service.backend.jobs.report(service.backend.jobs.list()[0].id).incident.place == "default"


def test_of_a_log_that_no_service_takes_the_end_is_sent() -> None:
    spec = importlib.util.spec_from_file_location("report", INTEGRATIONS / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.EXPANDED, module.PACKED = 3 << 20, 1 << 20
    noise = os.urandom(6 << 20)
    sent = module.packed(b"\n" + noise + LOG)
    assert len(sent) <= 1 << 20
    assert gzip.decompress(sent).endswith(LOG)


@pytest.mark.parametrize("kind", ["slow", "500", "garbage"])
def test_a_service_that_is_no_use_holds_nothing_up(kind: str) -> None:
    with broken(kind) as url:
        started = time.monotonic()
        done = run(*REPORT, "--log", "-", "--url", url, "--limit", "2", "--gate", log=LOG)
        assert time.monotonic() - started < 30
    assert done.returncode == 0
    assert done.stdout == b""
    assert b"the pipeline goes on without a diagnosis" in done.stderr


def test_a_service_that_is_gone() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = run(*REPORT, "--log", "-", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}", log=LOG)
    assert done.returncode == 0
    assert b"goes on" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--log", "no-such.log"], b"no-such.log: No such file"),
        (["--log", "-"], b"is empty"),
        ([], b"no log: name one"),
        (["--wait", "soon"], b"wrong options"),
        (["--log", "-", "--url", "file:///etc/passwd"], b""),
    ],
)
def test_wrong_use_fails_no_pipeline(options: list[str], said: bytes) -> None:
    done = run(*REPORT, *options, DEVOPS_AGENT_URL="http://127.0.0.1:9")
    assert done.returncode == 0
    assert said in done.stderr
    assert b"goes on" in done.stderr


def test_without_a_service_the_agent_here_answers() -> None:
    done = run(*REPORT, "--log", "-", "--gate", log=LOG)
    assert done.returncode == 3, done.stderr
    assert b"file_not_found" in done.stdout
    healthy = run(*REPORT, "--log", "-", "--gate", log=b"all 12 tests passed\n")
    assert healthy.returncode == 0


def test_github_s_failed_jobs_are_fetched_and_the_change_is_commented_on_once(service, there, tmp_path) -> None:
    env = github(there, tmp_path, DEVOPS_AGENT_URL=address(service), DEVOPS_AGENT_KEY="agent-key")
    for _ in range(2):
        done = run(*REPORT, "--comment", **env)
        assert done.returncode == 0, done.stderr
    assert list(there.comments) == [1]
    assert there.comments[1].startswith("<!-- devops-agent: ci -->\n## ")
    assert "package.json" in there.comments[1]
    assert "package.json" in (tmp_path / "summary.md").read_text()
    assert there.headers("/repos/o/r/actions/runs/7")["authorization"] == "Bearer forge-token"
    assert "authorization" not in there.headers("/storage/2")
    assert service.backend.jobs.list()[0].title == "build"
    assert not any("agent-key" in str(asked) for asked in there.asked)


def test_the_action_runs_as_a_runner_runs_it(service, there, tmp_path) -> None:
    action = yaml.safe_load((INTEGRATIONS / "github/action.yml").read_text())
    (tmp_path / "build.log").write_bytes(LOG)
    given = {"log": "build.log", "url": address(service), "comment": "true", "token": "forge-token"}
    inputs = {name: given.get(name, each["default"]) for name, each in action["inputs"].items()}
    [step] = action["runs"]["steps"]
    values = {name: inputs[value[len("${{ inputs.") : -len(" }}")]] for name, value in step["env"].items()}
    env = {**github(there, tmp_path), **values, "GITHUB_ACTION_PATH": str(INTEGRATIONS / "github")}
    done = run(step["shell"], "-e", "-c", step["run"], cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    assert "package.json" in (tmp_path / "summary.md").read_text()
    assert "package.json" in there.comments[1]
    gone = run(step["shell"], "-e", "-c", step["run"], cwd=tmp_path, **env | {"DEVOPS_AGENT_URL": "http://127.0.0.1:9"})
    assert gone.returncode == 0
    assert b"goes on" in gone.stderr


def test_without_python_the_pipeline_goes_on(tmp_path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = run(
        "/bin/sh", "-e", str(INTEGRATIONS / "report.sh"), PATH=str(tmp_path), DEVOPS_AGENT_URL="http://127.0.0.1:9"
    )
    assert done.returncode == 0
    assert b"Python 3.8 or newer" in done.stderr


def test_gitlab_s_template_runs_as_a_runner_runs_it(service, there, tmp_path) -> None:
    template = yaml.safe_load((INTEGRATIONS / "gitlab/devops-agent.gitlab-ci.yml").read_text())
    job = template["devops-agent"]
    assert job["when"] == "on_failure"
    assert job["allow_failure"] is True
    there.files["/raw/report.py"] = (INTEGRATIONS / "report.py").read_bytes()
    env = {
        **template["variables"], **job["variables"], "GITLAB_CI": "true", "CI_API_V4_URL": there.url,
        "CI_PROJECT_ID": "5",
        "CI_PIPELINE_ID": "8", "CI_MERGE_REQUEST_IID": "3", "DEVOPS_AGENT_FORGE_TOKEN": "forge-token",
        "DEVOPS_AGENT_URL": address(service), "DEVOPS_AGENT_SCRIPTS": f"{there.url}/raw",
    }  # fmt: skip
    script = "\n".join(job["script"])
    done = run("sh", "-e", "-c", script, cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    assert b"package.json" in done.stdout
    assert "package.json" in there.comments[1]
    assert there.headers("/projects/5/merge_requests/3/notes")["private-token"] == "forge-token"
    for change in ({"DEVOPS_AGENT_URL": "http://127.0.0.1:9"}, {"DEVOPS_AGENT_SCRIPTS": "http://127.0.0.1:9"}):
        assert run("sh", "-e", "-c", script, cwd=tmp_path, **env | change).returncode == 0


def test_jenkins_console_text(service, there) -> None:
    env = {"BUILD_URL": f"{there.url}/job/shop/3/", "JOB_NAME": "shop", "DEVOPS_AGENT_FORGE_TOKEN": "ci:token"}
    done = run(*REPORT, DEVOPS_AGENT_URL=address(service), **env)
    assert done.returncode == 0, done.stderr
    assert b"package.json" in done.stdout
    assert there.headers("/job/shop/3/consoleText")["authorization"].startswith("Basic ")
