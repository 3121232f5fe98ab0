"""Tools on what the inventory names besides services: locks, volumes, releases, certificates, repositories, ..."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devops_agent.errors import NotAllowed
from devops_agent.model import Action, Outcome, Step
from devops_agent.tools.toolbox import Toolbox

from .conftest import eventually

Box = Callable[..., Toolbox]
openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
GONE = 4_190_000


def perform(tools: Toolbox, tool: str, **args: Any) -> tuple[Action, Outcome]:
    action = tools.preview(Step(tool=tool, args=args), 1)
    return action, tools.apply(action)


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def locked(box: Box, workspace: Path) -> Callable[[int], Toolbox]:
    def lock(pid: int, **more: str) -> Toolbox:
        (workspace / "lock.info").write_text(json.dumps({"ID": "abc-1", "Pid": pid, **more}))
        script(workspace, "unlock", '[ "$1" = abc-1 ] && rm lock.info')
        return box(locks={"state": {"file": "lock.info", "holder": "Pid", "release": ["./unlock", "{ID}"]}})

    return lock


def test_a_lock_of_a_dead_holder_is_released(locked: Callable[..., Toolbox], workspace: Path) -> None:
    tools = locked(GONE)
    assert tools.probe("lock_holder", {"lock": "state"})["state"] == "dead"
    action, outcome = perform(tools, "release_lock", lock="state")
    assert outcome.status == "succeeded", outcome.output
    assert not (workspace / "lock.info").exists()
    assert tools.apply(action).status == "already"
    assert tools.probe("lock_holder", {"lock": "state"})["state"] == "free"


def test_a_lock_of_a_living_or_foreign_holder_stays(locked: Callable[..., Toolbox], workspace: Path) -> None:
    tools = locked(os.getpid())
    assert tools.probe("lock_holder", {"lock": "state"})["state"] == "alive"
    with pytest.raises(NotAllowed, match="alive"):
        perform(tools, "release_lock", lock="state")
    tools = locked(GONE, Host="elsewhere")
    assert tools.probe("lock_holder", {"lock": "state"})["state"] == "unknown"
    with pytest.raises(NotAllowed, match="cannot be proven dead"):
        perform(tools, "release_lock", lock="state")
    assert (workspace / "lock.info").exists()


def test_a_lock_that_was_taken_anew_since_the_plan_stays(locked: Callable[..., Toolbox], workspace: Path) -> None:
    tools = locked(GONE)
    action = tools.preview(Step(tool="release_lock", args={"lock": "state"}), 1)
    (workspace / "lock.info").write_text(json.dumps({"ID": "new", "Pid": GONE - 1}))
    outcome = tools.apply(action)
    assert (outcome.status, "changed since" in outcome.output) == ("failed", True)
    assert (workspace / "lock.info").exists()


def test_a_lock_file_cannot_bring_options_of_its_own(locked: Callable[..., Toolbox], workspace: Path) -> None:
    tools = locked(GONE)
    (workspace / "lock.info").write_text(json.dumps({"ID": "--force; rm -rf /", "Pid": GONE}))
    with pytest.raises(NotAllowed, match="nothing usable"):
        perform(tools, "release_lock", lock="state")


def test_a_file_that_somebody_has_open_is_held(box: Box, workspace: Path) -> None:
    file = workspace / "x.lock"
    file.write_text("")
    with file.open():
        seen = box().probe("lock_holder", {"file": "x.lock"})
        assert (seen["state"], seen["pid"]) == ("alive", os.getpid())
    assert box().probe("lock_holder", {"file": "x.lock"})["state"] == "unknown"


def test_waiting_is_a_remedy(box: Box, workspace: Path) -> None:
    (workspace / "x.lock").write_text("")
    with subprocess.Popen(["sh", "-c", "sleep 0.5; rm x.lock"], cwd=workspace):
        expect = ['result.state == "free"']
        args = {"probe": "lock_holder", "args": {"file": "x.lock"}, "expect": expect, "limit": 10}
        action, outcome = perform(box(), "wait_until", **args)
    assert (action.effect, outcome.status) == ("read", "succeeded")


def test_a_volume_is_cleaned_of_what_its_rules_allow_alone(box: Box, workspace: Path) -> None:
    for name in (
        "logs/a.1",
        "logs/a.2",
        "logs/held.3",
        "logs/a.log",
        "logs/deep/a.1",
        "logs/keep.9",
        "tmp/sess_new",
        "tmp/sess_old",
    ):
        file = workspace / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x" * 100)
    old = time.time() - 100_000
    os.utime(workspace / "data/tmp/sess_old", (old, old))
    (workspace / "data/logs/link.4").symlink_to(workspace / "data/logs/a.log")
    rules = [{"glob": "logs/*.[0-9]*"}, {"glob": "tmp/sess_*", "older_than": "1d"}]
    tools = box(volumes={"data": {"path": "data", "cleanup": rules}}, protected=["data/logs/keep.9"])
    with (workspace / "data/logs/held.3").open():
        action, outcome = perform(tools, "clean_volume", volume="data")
    assert outcome.status == "succeeded", outcome.output
    left = sorted(
        str(file.relative_to(workspace / "data")) for file in (workspace / "data").rglob("*") if not file.is_dir()
    )
    assert left == ["logs/a.log", "logs/deep/a.1", "logs/held.3", "logs/keep.9", "logs/link.4", "tmp/sess_new"]
    assert [Path(file["path"]).name for file in action.pinned["files"]] == ["a.1", "a.2", "sess_old"]
    assert tools.apply(action).status == "already"


def test_a_file_that_changed_since_the_plan_is_not_deleted(box: Box, workspace: Path) -> None:
    (workspace / "data").mkdir()
    (workspace / "data" / "a.1").write_text("x")
    tools = box(volumes={"data": {"path": "data", "cleanup": [{"glob": "*.1"}]}})
    action = tools.preview(Step(tool="clean_volume", args={"volume": "data"}), 1)
    (workspace / "data" / "a.1").write_text("something new")
    assert tools.apply(action).status == "failed"
    assert (workspace / "data" / "a.1").exists()


def test_a_release_is_rolled_back_and_forth(box: Box, workspace: Path) -> None:
    for name in ("v9", "v10", "v11"):
        (workspace / "releases" / name).mkdir(parents=True)
    (workspace / "current").symlink_to("releases/v11")
    tools = box(services={"shop": {"releases": {"current": "current", "all": "releases"}}})
    seen = tools.probe("release_state", {"service": "shop"})
    assert (seen["current"], seen["previous"], seen["releases"]) == ("v11", "v10", ["v9", "v10", "v11"])
    action, outcome = perform(tools, "use_release", service="shop", release="v10")
    assert outcome.status == "succeeded", outcome.output
    assert os.readlink(workspace / "current") == "releases/v10"
    assert tools.apply(action).status == "already"
    assert tools.revert(action).status == "succeeded"
    assert os.readlink(workspace / "current") == "releases/v11"
    with pytest.raises(NotAllowed, match="none of"):
        perform(tools, "use_release", service="shop", release="../../etc")


def certificate(folder: Path, name: str, names: str, *more: str) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
    argv += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", *more]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True, timeout=30)


@openssl
def test_certificates(box: Box, workspace: Path) -> None:
    certificate(workspace, "site", "DNS:shop.lab", "-days", "90")
    certificate(workspace, "better", "DNS:shop.lab,DNS:www.shop.lab", "-days", "30")
    script(workspace, "renew", 'echo "$1" > asked; cp better.crt site.crt')
    entry = {"file": "site.crt", "renew": ["./renew", "{names}"], "names": ["shop.lab", "www.shop.lab"]}
    tools = box(certificates={"site": entry})
    seen = tools.probe("certificate_info", {"certificate": "site"})
    assert (seen["valid"], seen["covers"], seen["names"], seen["self_signed"]) == (True, False, ["shop.lab"], True)
    assert 89 <= seen["days"] <= 90
    action, outcome = perform(tools, "renew_certificate", certificate="site")
    assert outcome.status == "succeeded", outcome.output
    assert (workspace / "asked").read_text().strip() == "shop.lab,www.shop.lab"
    assert tools.apply(action).status == "already"


@openssl
def test_what_a_server_presents_and_trusting_its_authority(box: Box, workspace: Path, port: int) -> None:
    certificate(workspace, "ca", "DNS:shop.lab", "-days", "5")
    (workspace / "trusted.pem").write_text("")
    argv = ["openssl", "s_server", "-accept", str(port), "-cert", "ca.crt", "-key", "ca.key", "-quiet"]
    with subprocess.Popen(argv, cwd=workspace, stdin=subprocess.PIPE) as server:
        try:
            tools = box(trust={"bundle": "trusted.pem", "candidates": ["ca.crt"]})
            args = {"port": port, "name": "shop.lab"}
            assert eventually(lambda: tools.probe("tls_inspect", args)["tls"])
            seen = tools.probe("tls_inspect", args)
            assert (seen["tls"], seen["trusted"], seen["covers"]) == (True, False, True)
            action, outcome = perform(tools, "trust_add", candidate="ca.crt")
            assert outcome.status == "succeeded", outcome.output
            assert tools.probe("tls_inspect", args)["trusted"]
            assert tools.revert(action).status == "succeeded"
            assert (workspace / "trusted.pem").read_text() == ""
        finally:
            server.kill()
    assert not tools.probe("tls_inspect", args)["tls"]
    with pytest.raises(NotAllowed, match="not one that the inventory allows"):
        perform(tools, "trust_add", candidate="trusted.pem")


def git(folder: Path, *argv: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", *argv],
        cwd=folder, check=True, capture_output=True, timeout=20,
    )  # fmt: skip


@pytest.fixture
def repository(box: Box, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolbox:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text("[user]\nname = t\nemail = t@example.org\n")
    git(tmp_path, "init", "--bare", "remote.git")
    git(workspace, "clone", "-q", str(tmp_path / "remote.git"), "work")
    work = workspace / "work"
    (work / "a").write_text("1\n")
    git(work, "checkout", "-q", "-B", "main")
    git(work, "add", "a")
    git(work, "commit", "-qm", "first")
    git(work, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", str(tmp_path / "remote.git"), "other")
    (tmp_path / "other" / "b").write_text("theirs\n")
    git(tmp_path / "other", "add", "b")
    git(tmp_path / "other", "commit", "-qm", "theirs")
    git(tmp_path / "other", "push", "-q", "origin", "HEAD:main")
    (work / "c").write_text("ours\n")
    git(work, "add", "c")
    git(work, "commit", "-qm", "ours")
    return box(repositories={"work": {"path": "work", "branch": "main"}})


def test_a_rejected_push_is_rebased_and_never_forced(repository: Toolbox, workspace: Path) -> None:
    tools = repository
    _, outcome = perform(tools, "git_push", repository="work")
    assert outcome.status == "failed"
    assert "fetch first" in outcome.output or "rejected" in outcome.output
    assert perform(tools, "git_rebase", repository="work")[1].status == "succeeded"
    action, outcome = perform(tools, "git_push", repository="work")
    assert outcome.status == "succeeded", outcome.output
    assert not any(
        "force" in word and word != "--no-force" for each in action.commands for word in getattr(each, "argv", ())
    )
    subjects = [each["subject"] for each in tools.probe("git_log", {"repository": "work"})["commits"]]
    assert subjects == ["ours", "theirs", "first"]


def test_the_state_of_a_work_tree(repository: Toolbox, workspace: Path) -> None:
    tools = repository
    seen = tools.probe("git_status", {"repository": "work"})
    assert (seen["branch"], seen["ahead"], seen["clean"], seen["lock"]) == ("main", 1, True, False)
    (workspace / "work" / "a").write_text("2\n")
    (workspace / "work" / ".git" / "index.lock").write_text("")
    seen = tools.probe("git_status", {"repository": "work"})
    assert (seen["changed"], seen["clean"], seen["lock"]) == (["a"], False, True)
    with pytest.raises(NotAllowed, match="has changes"):
        perform(tools, "git_rebase", repository="work")
    assert tools.probe("git_ref", {"repository": "work", "ref": "main"})["there"]
    missing = tools.probe("git_ref", {"repository": "work", "ref": "nowhere"})
    assert (missing["here"], missing["there"]) == (False, False)
    with pytest.raises(NotAllowed):
        tools.probe("git_ref", {"repository": "work", "ref": "--upload-pack=evil"})


@pytest.mark.parametrize(
    ("name", "good", "bad", "line"),
    [
        ("a.yaml", "a: 1\n", "a: 1\nb: [\n", 3),
        ("a.json", "{}", '{\n"a": }', 2),
        ("a.toml", "a = 1\n", "a = 1\nb = \n", 2),
        ("a.ini", "[a]\nb=1\n", "[a]\nb=1\n[c\n", 3),
    ],
)
def test_configuration_that_parses_or_not(box: Box, workspace: Path, name: str, good: str, bad: str, line: int) -> None:
    (workspace / name).write_text(good)
    assert box().probe("config_test", {"file": name})["valid"]
    (workspace / name).write_text(bad)
    seen = box().probe("config_test", {"file": name})
    assert (seen["valid"], seen["line"]) == (False, line), seen


def test_what_is_missing_compared_with_the_template(box: Box, workspace: Path) -> None:
    (workspace / "app.env").write_text("A=1\nB=\nX=2\n")
    (workspace / "env.example").write_text("A=\nB=some\nC=7\n")
    (workspace / "secrets").mkdir()
    (workspace / "secrets" / "x").write_text("2\n")
    service = {"config": ["app.env"], "templates": ["env.example"]}
    tools = box(services={"shop": service}, secrets={"directory": "secrets"})
    seen = tools.probe("env_against_template", {"service": "shop"})
    assert (seen["missing"], seen["empty"], seen["extra"]) == (["C"], ["B"], ["X"])
    assert tools.probe("compare_secret", {"file": "app.env", "key": "X", "secret": "x"}) == {
        "present": True,
        "equal": True,
    }
    assert not tools.probe("compare_secret", {"file": "app.env", "key": "A", "secret": "x"})["equal"]


def test_migrations(box: Box, workspace: Path) -> None:
    script(
        workspace,
        "migrate",
        'case "$1" in up) touch done;; *) [ -e done ] && echo "no pending" || echo "0002 pending";; esac',
    )
    tools = box(migrations={"status": ["./migrate", "status"], "apply": ["./migrate", "up"]})
    assert tools.probe("migration_status", {})["pending"]
    assert perform(tools, "apply_migrations")[1].status == "succeeded"
    assert not tools.probe("migration_status", {})["pending"]
