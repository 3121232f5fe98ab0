"""Words that only repeat what somebody wrote (commits, scripts) are no evidence: it did not happen here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devops_agent.bootstrap import Diagnoser
from devops_agent.config import Settings

DIAGNOSER = Diagnoser(Settings())
FIXES = ("Fix ECONNREFUSED 127.0.0.1:5432", "java.lang.OutOfMemoryError: Java heap space", "No space left on device")
FAILED = "$ make\nmake: *** [Makefile:9: main.o] Error 1\nERROR: Job failed: exit code 1\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for number, text in enumerate(FIXES):
        (folder / "file").write_text(str(number))
        git(folder, "add", "file")
        git(folder, "commit", "--message", f"{text}\n\nIt said: {text}")
    return folder


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=Ann", "-c", "user.email=ann@shop.example", "-c", "advice.detachedHead=false"]
    done = subprocess.run(["git", *own, *words], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout + done.stderr


def cause(log: str) -> str | None:
    """What is named, or None where the log shows no failure."""
    _, found = DIAGNOSER.diagnose(log.encode())
    return found.cause if found.failure else None


@pytest.mark.parametrize(
    "words", [["log"], ["log", "--decorate", "--format=fuller"], ["show", "--stat"], ["log", "-p"]]
)
def test_messages_of_commits(repository: Path, words: list[str]) -> None:
    told = git(repository, *words)
    assert "No space left on device" in told
    assert cause(told) is None
    digest, _ = DIAGNOSER.diagnose((told + FAILED).encode())
    assert not [each.text for each in digest.evidence if any(fix in each.text for fix in FIXES)]
    assert {hit.lines[0] for hit in digest.hits} <= set(range(told.count("\n") + 1, told.count("\n") + 4))


def test_subjects_that_git_tells_when_it_moves(repository: Path) -> None:
    told = (
        git(repository, "checkout", "HEAD~1")
        + git(repository, "checkout", "HEAD~1")
        + git(repository, "checkout", "main")
    )
    assert "OutOfMemoryError" in told
    (repository / "file").write_text("more")
    told += git(repository, "commit", "--all", "--message", "Permission denied (publickey).")
    assert cause(told) is None


def test_what_failed_beside_them_is_named(repository: Path) -> None:
    failed = 'psql: error: connection to server at "10.0.0.4", port 5432 failed: Connection refused\nexit status 2\n'
    assert cause(git(repository, "log") + failed) == "connection_refused"


def test_a_service_that_was_stopped_in_order_did_not_fail() -> None:
    stopped = "Nov  2 10:12:01 web systemd[1]: {}\n"
    said = (
        "Stopping shop.service - The shop...",
        "shop.service: Main process exited, code=killed, status=15/TERM",
        "shop.service: Deactivated successfully.",
        "Stopped shop.service - The shop.",
    )
    assert cause("".join(map(stopped.format, said))) in (None, "unknown")
    failed = stopped.format("shop.service: Main process exited, code=exited, status=1/FAILURE")
    assert cause(failed + stopped.format("shop.service: Failed with result 'exit-code'.")) == "service_failed"


def test_what_was_tried_again_at_a_quiet_level_is_no_failure() -> None:
    tried = "2026-11-02T10:12:01Z INFO rpc error: code = Unavailable desc = connection refused, retrying in 1s\n"
    assert cause(tried + "2026-11-02T10:12:02Z INFO connected to orders:50051\n") is None
    assert cause(tried.replace("INFO", "ERROR").replace(", retrying in 1s", "")) == "connection_refused"
