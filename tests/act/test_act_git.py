"""Lock files of git: removed only where nobody works and they are old."""

import os
import subprocess
import time

import pytest

from act.places import do, toolbox
from devops_agent.errors import NotAllowed, ToolError
from devops_agent.model import Step
from devops_agent.tools.catalogue import git_locks


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


@pytest.fixture
def box(tmp_path, work):
    return toolbox(tmp_path, repositories={"work": {"path": "work"}})


def lock(work, seconds):
    file = work / ".git/index.lock"
    file.write_text("")
    os.utime(file, (time.time() - seconds,) * 2)
    return file


def test_no_lock(box):
    assert box.probe("git_lock", {"repository": "work"})["exists"] is False
    assert do(box, "remove_git_lock", repository="work").status == "already"


def test_one_that_was_left_behind_is_removed(box, work):
    file = lock(work, 3600)
    assert box.probe("git_lock", {"repository": "work"})["stale"] is True
    assert do(box, "remove_git_lock", repository="work").status == "succeeded"
    assert not file.exists()


def test_a_fresh_one_stays(box, work):
    file = lock(work, 1)
    assert box.probe("git_lock", {"repository": "work"})["stale"] is False
    with pytest.raises(NotAllowed, match="too young"):
        do(box, "remove_git_lock", repository="work")
    assert file.exists()


def test_a_git_that_ends_while_it_is_looked_at_does_not_count(box, work, tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path / "other")], check=True)
    lock(work, 3600)
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=tmp_path / "other", stdin=subprocess.PIPE) as git:
        whose = git_locks.processes.folder_of

        def folder_of(host, pid):
            if pid == git.pid:
                git.kill()
                git.wait()
            return whose(host, pid)

        monkeypatch.setattr(git_locks.processes, "folder_of", folder_of)
        assert git.pid not in [each["pid"] for each in box.probe("git_lock", {"repository": "work"})["processes"]]
        assert git.poll() is not None


def test_one_beside_a_git_that_works_stays(box, work):
    file = lock(work, 3600)
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=work, stdin=subprocess.PIPE) as git:
        seen = box.probe("git_lock", {"repository": "work"})
        assert (seen["working"], seen["stale"]) == (True, False)
        with pytest.raises(NotAllowed, match="cat-file"):
            do(box, "remove_git_lock", repository="work")
        git.stdin.close()
    assert file.exists()


def test_a_lock_that_was_taken_anew_since_the_plan_stays(box, work):
    file = lock(work, 3600)
    action = box.preview(Step(tool="remove_git_lock", args={"repository": "work"}), 1)
    other = work / ".git/other"
    other.write_text("")
    os.utime(other, (time.time() - 3600,) * 2)
    os.replace(other, file)
    outcome = box.apply(action)
    assert outcome.status == "failed"
    assert "not the one that was seen" in outcome.output
    assert file.exists()


def test_whose_repository_a_path_is(box, work, tmp_path):
    assert box.probe("repository_of", {"path": str(work / "src")})["name"] == "work"
    with pytest.raises(Exception, match="cannot tell"):
        box.probe("repository_of", {"path": "/elsewhere"})


def test_the_lock_of_a_branch_is_known_by_its_path(box, work):
    file = work / ".git/refs/heads/main.lock"
    file.write_text("")
    os.utime(file, (time.time() - 3600,) * 2)
    seen = box.probe("git_lock", {"repository": "work", "path": str(file)})
    assert (seen["kind"], seen["stale"]) == ("refs/heads/main", True)
    assert do(box, "remove_git_lock", repository="work", kind=seen["kind"]).status == "succeeded"
    assert not file.exists()
    for odd in ("refs/heads/../../../x", "../x", "objects/pack"):
        with pytest.raises(ToolError):
            do(box, "remove_git_lock", repository="work", kind=odd)


def test_a_git_in_a_container_may_work_under_another_path(box, work, tmp_path):
    file = lock(work, 3600)
    argv = ["unshare", "--mount", "git", "cat-file", "--batch"]
    with subprocess.Popen(
        argv, cwd="/", stdin=subprocess.PIPE, env={**os.environ, "GIT_DIR": str(work / ".git")}
    ) as git:
        time.sleep(0.3)
        if git.poll() is not None:
            pytest.skip("no mount namespaces may be made here")
        assert box.probe("git_lock", {"repository": "work"})["working"] is True
        git.stdin.close()
    assert file.exists()
