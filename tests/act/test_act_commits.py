"""Committing named files of a work tree: these, as they were seen, in the right name; taken back only while ours."""

import json
import subprocess

import pytest

from act.places import do, toolbox
from act.test_act_repositories import git
from devops_agent.errors import BadArguments, NotAllowed
from devops_agent.model import Step

ARGS = {"repository": "work", "files": ["app.conf", "new.txt"], "message": "Timeout as documented"}


@pytest.fixture
def work(tmp_path):
    git(tmp_path, "init", "-q", "--bare", "origin.git")
    git(tmp_path, "clone", "-q", "origin.git", "work")
    folder = tmp_path / "work"
    (folder / ".gitignore").write_text("*.log\n")
    for name in ("app.conf", "other.txt"):
        (folder / name).write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    git(folder, "push", "-q", "origin", "HEAD:main")
    (folder / "app.conf").write_text("timeout=30\n")
    (folder / "new.txt").write_text("new\n")
    (folder / "other.txt").write_text("somebody's work\n")
    git(folder, "add", "other.txt")
    return folder


@pytest.fixture
def box(tmp_path, work):
    entry = {"path": "work", "branch": "main", "author": "Repair <repair@example.test>"}
    return toolbox(tmp_path, repositories={"work": entry}, protected=["work/kept.txt"], secrets={"directory": "work/s"})


def state(work):
    return git(work, "status", "--porcelain"), git(work, "rev-parse", "HEAD")


def test_the_named_files_are_committed_and_no_others(box, work):
    before = git(work, "rev-parse", "HEAD")
    assert do(box, "git_commit", **ARGS).status == "succeeded"
    assert git(work, "show", "--format=%an <%ae>%n%s", "--name-only", "HEAD").split("\n") == [
        "Repair <repair@example.test>",
        "Timeout as documented",
        "",
        "app.conf",
        "new.txt",
    ]
    assert git(work, "rev-parse", "HEAD^") == before
    assert git(work, "status", "--porcelain") == "M  other.txt"
    assert do(box, "git_commit", **ARGS).status == "already"
    assert box.probe("git_diff", {"repository": "work", "staged": True})["files"] == ["other.txt"]


def test_it_is_taken_back_with_everything_as_it_was(box, work):
    before = state(work)
    action = box.preview(Step(tool="git_commit", args=ARGS), 1)
    assert box.apply(action).status == "succeeded"
    assert box.revert(action).status == "succeeded"
    assert state(work) == before
    assert (work / "app.conf").read_text() == "timeout=30\n"


def later(work):
    git(work, "commit", "-qm", "more", "--allow-empty")


def pushed(work):
    git(work, "push", "-q", "origin", "HEAD:main")


def pushed_elsewhere(work):
    git(work, "push", "-q", "../origin.git", "HEAD:refs/heads/try")


def amended(work):
    git(work, "commit", "-q", "--amend", "-m", "ours now", "other.txt")


@pytest.mark.parametrize("then", [later, pushed, pushed_elsewhere, amended])
def test_what_is_not_ours_alone_any_more_stays(box, work, then):
    action = box.preview(Step(tool="git_commit", args=ARGS), 1)
    assert box.apply(action).status == "succeeded"
    then(work)
    tip = git(work, "rev-parse", "HEAD")
    outcome = box.revert(action)
    assert outcome.status == "failed"
    assert "it stays" in outcome.output
    assert git(work, "rev-parse", "HEAD") == tip


def test_what_changed_since_the_plan_is_not_committed(box, work):
    action = box.preview(Step(tool="git_commit", args=ARGS), 1)
    (work / "app.conf").write_text("timeout=1\n")
    assert "changed since" in box.apply(action).output
    action = box.preview(Step(tool="git_commit", args=ARGS), 1)
    later(work)
    assert "other commits" in box.apply(action).output
    assert git(work, "status", "--porcelain") == "M app.conf\n?? new.txt"


@pytest.mark.parametrize(
    "file", ["../origin.git/HEAD", "/etc/hostname", ".git/config", ".", "-A", "--all", "sub", "out", ":/", "*", "d.log",
             "kept.txt", "s/token", "nothing.txt", "id.key"]
)  # fmt: skip
def test_only_single_changed_files_of_the_work_tree(box, work, file):
    for name in ("sub", "s"):
        (work / name).mkdir()
    for name in ("sub/x", "d.log", "kept.txt", "s/token", "id.key"):
        (work / name).write_text("x\n")
    (work / "out").symlink_to("/etc")
    before = state(work)
    with pytest.raises((NotAllowed, BadArguments)):
        box.preview(Step(tool="git_commit", args={**ARGS, "files": [file]}), 1)
    assert state(work) == before


def test_nobody_commits_without_a_name_on_another_branch_or_in_the_middle_of_a_merge(box, work, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    nameless = toolbox(tmp_path, repositories={"work": {"path": "work"}})
    with pytest.raises(NotAllowed, match="author"):
        do(nameless, "git_commit", **ARGS)
    git(work, "config", "user.name", "Ada")
    git(work, "config", "user.email", "ada@example.test")
    (work / ".git/MERGE_HEAD").write_text(git(work, "rev-parse", "HEAD"))
    with pytest.raises(NotAllowed, match="merge"):
        do(nameless, "git_commit", **ARGS)
    (work / ".git/MERGE_HEAD").unlink()
    git(work, "checkout", "-q", "-b", "try")
    with pytest.raises(NotAllowed, match="branch of the inventory"):
        do(box, "git_commit", **ARGS)
    assert do(nameless, "git_commit", **ARGS).status == "succeeded"
    assert git(work, "log", "-1", "--format=%an") == "Ada"


def test_a_hook_has_its_say(box, work):
    hook = work / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho 'not like this' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = git(work, "rev-parse", "HEAD")
    action = box.preview(Step(tool="git_commit", args=ARGS), 1)
    outcome = box.apply(action)
    assert (outcome.status, "not like this" in outcome.output) == ("failed", True)
    assert git(work, "rev-parse", "HEAD") == before


def test_a_diff_is_shown_without_secrets(box, work):
    (work / "app.conf").write_text("timeout=30\npassword=hunter2hunter2\n")
    (work / "id.key").write_text("one\n")
    git(work, "add", "-f", "id.key")
    git(work, "commit", "-qm", "oh no", "id.key")
    (work / "id.key").write_text("two\n")
    seen = box.probe("git_diff", {"repository": "work"})
    assert (seen["files"], seen["hidden"]) == (["app.conf", "id.key"], 1)
    assert "+timeout=30" in seen["text"]
    assert "hunter2" not in json.dumps(seen)
    assert "two" not in seen["text"]
    assert box.probe("git_diff", {"repository": "work", "file": "app.conf"})["files"] == ["app.conf"]
    with pytest.raises(NotAllowed):
        box.probe("git_diff", {"repository": "work", "file": "id.key"})


def test_a_diff_runs_no_program_that_the_repository_names(box, work, tmp_path):
    (work / ".gitattributes").write_text("* diff=evil\n")
    for key in ("diff.evil.textconv", "diff.evil.command", "diff.external"):
        git(work, "config", key, f"touch {tmp_path}/ran; cat")
    assert box.probe("git_diff", {"repository": "work"})["files"]
    assert not (tmp_path / "ran").exists()
    assert subprocess.run(["git", "-C", str(work), "diff"], capture_output=True, check=False).returncode in (0, 128)
