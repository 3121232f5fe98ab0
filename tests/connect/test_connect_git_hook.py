"""The hook of a real git server: a push whose check fails is reported, and, as pre-receive, refused."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hooked import hooked, rows, until, worked_off

HOOK = Path(__file__).parents[2] / "integrations" / "git-hook" / "receive"
pytestmark = pytest.mark.skipif(not (shutil.which("git") and shutil.which("curl")), reason="needs git and curl")


def git(folder, *words, **more):
    who = ("-c", "user.name=A", "-c", "user.email=a@a.example", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *who, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False, **more
    )


@pytest.fixture
def repository(tmp_path):
    """A bare repository and a clone of it with one commit whose check passes."""
    server, clone = tmp_path / "shop.git", tmp_path / "shop"
    git(tmp_path, "init", "--bare", str(server))
    git(tmp_path, "clone", str(server), str(clone))
    (clone / "check.sh").write_text("echo checking\nexit 0\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-m", "first")
    return server, clone


def installed(server, name, url):
    shutil.copy(HOOK, server / "hooks" / name)
    (server / "hooks" / name).chmod(0o755)
    git(server, "config", "devops-agent.check", "sh check.sh")
    git(server, "config", "devops-agent.url", url)
    key = server / "key"
    key.write_text("a-key-that-no-command-line-shows\n")
    git(server, "config", "devops-agent.keyfile", str(key))


def broken(clone, text="echo \"ModuleNotFoundError: No module named 'requests'\"\nexit 3\n"):
    (clone / "check.sh").write_text(text)
    git(clone, "commit", "-am", "broken")


def test_a_push_whose_check_fails_is_refused_and_reported(tmp_path, repository):
    server, clone = repository
    with hooked(tmp_path / "service", {}) as service:
        installed(server, "pre-receive", str(service.http.base_url))
        assert git(clone, "push", "origin", "main").returncode == 0
        assert rows(service) == []
        broken(clone)
        refused = git(clone, "push", "origin", "main")
        assert refused.returncode != 0
        assert "failed with status 3" in refused.stderr
        worked_off(service)
        (row,) = rows(service)
        assert f"/dashboard/jobs/{row.id}" in refused.stderr
        log = service.backend.jobs.report(row.id).incident.log
    assert "ModuleNotFoundError" in log
    assert "exit code 3" in log
    assert git(server, "rev-parse", "main").stdout == git(clone, "rev-parse", "main~1").stdout


def test_after_a_push_nobody_waits_and_the_failure_is_reported(tmp_path, repository):
    server, clone = repository
    with hooked(tmp_path / "service", {}) as service:
        installed(server, "post-receive", str(service.http.base_url))
        broken(clone, "sleep 1\necho 'fatal: it is broken'\nexit 1\n")
        begun = time.monotonic()
        assert git(clone, "push", "origin", "main").returncode == 0
        took = time.monotonic() - begun
        until(lambda: rows(service))
        worked_off(service)
        assert "fatal: it is broken" in service.backend.jobs.report(rows(service)[0].id).incident.log
        assert took < 30
        assert git(clone, "push", "origin", ":main").returncode in (0, 1)  # nothing to check where a branch goes


def test_a_service_that_is_gone_changes_nothing(tmp_path, repository):
    server, clone = repository
    installed(server, "post-receive", "http://127.0.0.1:9")
    broken(clone)
    assert git(clone, "push", "origin", "main").returncode == 0
    assert git(server, "rev-parse", "main").stdout == git(clone, "rev-parse", "main").stdout


def test_without_settings_every_push_passes(repository):
    server, clone = repository
    shutil.copy(HOOK, server / "hooks" / "pre-receive")
    broken(clone)
    pushed = git(clone, "push", "origin", "main")
    assert pushed.returncode == 0
    assert "devops-agent.check is not set" in pushed.stderr
