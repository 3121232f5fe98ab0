"""Git work trees of the inventory: their state, refs and log; rebase, push (never forced), safe directory."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place, Repository
from devops_agent.model import Run
from devops_agent.tools.base import Commands, Completed, Host, change, probe

_STATES = {"rebase-merge": "rebase", "rebase-apply": "rebase", "MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick"}


@probe(needs=("git",))
def git_status(host: Host, place: Place, repository: str) -> dict[str, Any]:
    """State of a work tree: branch, ahead and behind of its upstream, changed and conflicted files, what is under way.

    `unsafe` says that git refuses the folder for its owner; `lock` that an index.lock lies there.
    """
    path = place.path(_entry(place, repository).path)
    ended = _git(host, path, "status", "--porcelain=v2", "--branch", "--untracked-files=normal")
    facts: dict[str, Any] = {"repository": repository, "path": path, "unsafe": "dubious ownership" in ended.errors}
    facts |= {
        "ok": ended.code == 0,
        "error": ended.errors.strip()[-500:],
        "lock": host.exists(f"{path}/.git/index.lock"),
    }
    lines = ended.output.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# ") and " " in line[2:])
    ahead, behind = [*re.findall(r"\d+", heads.get("branch.ab", "")), "0", "0"][:2]
    facts |= {
        "branch": heads.get("branch.head"),
        "upstream": heads.get("branch.upstream"),
        "commit": heads.get("branch.oid"),
    }
    facts |= {"ahead": int(ahead), "behind": int(behind), "detached": heads.get("branch.head") == "(detached)"}
    facts["changed"] = [line.split(" ", 8)[-1] for line in lines if line[:2] in ("1 ", "2 ")][:200]
    facts["conflicts"] = [line.split(" ", 10)[-1] for line in lines if line.startswith("u ")][:200]
    facts["untracked"] = [line[2:] for line in lines if line.startswith("? ")][:200]
    facts["under_way"] = next((name for file, name in _STATES.items() if host.exists(f"{path}/.git/{file}")), None)
    return facts | {"clean": ended.code == 0 and not facts["changed"] and not facts["conflicts"]}


@probe(needs=("git",))
def git_ref(host: Host, place: Place, repository: str, ref: str) -> dict[str, Any]:
    """Whether a branch, tag or commit is known here, and whether the remote has it."""
    _plain(ref)
    entry = _entry(place, repository)
    path = place.path(entry.path)
    here = _git(host, path, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    there = _git(host, path, "ls-remote", "--", entry.remote, ref, f"refs/heads/{ref}", f"refs/tags/{ref}", timeout=30)
    return {
        "ref": ref,
        "here": here.code == 0,
        "commit": here.output.strip() or None,
        "there": bool(there.output.strip()) if there.code == 0 else None,
        "remote_error": there.errors.strip()[-300:] if there.code else "",
    }


@probe(needs=("git",))
def git_log(
    host: Host, place: Place, repository: str, count: Annotated[int, Field(ge=1, le=100)] = 10
) -> dict[str, Any]:
    """The latest commits: hash, time, author, subject."""
    path = place.path(_entry(place, repository).path)
    ended = _git(host, path, "log", f"--max-count={count}", "--format=%H%x09%ct%x09%an%x09%s")
    rows = [line.split("\t", 3) for line in ended.output.splitlines() if line.count("\t") >= 3]
    return {"commits": [{"commit": row[0], "time": int(row[1]), "author": row[2], "subject": row[3]} for row in rows]}


@probe(needs=("git",))
def git_divergence(host: Host, place: Place, repository: str) -> dict[str, Any]:
    """Whether the remote's branch has commits that ours lacks (`behind`), asked of the remote itself.

    `behind` False: a push would be a fast-forward, so that a refusal has another reason (a rule, a hook). `on_branch`:
    the inventory's branch is the one that is checked out. `unpushed` counts our commits since we last saw the remote.
    """
    entry = _entry(place, repository)
    path, branch = place.path(entry.path), entry.branch or "main"
    asked = _git(host, path, "ls-remote", "--", entry.remote, f"refs/heads/{branch}", timeout=30)
    tip = asked.output.split()[0] if asked.code == 0 and asked.output.split() else None
    known = tip is not None and _git(host, path, "cat-file", "-e", f"{tip}^{{commit}}").code == 0
    inside = known and _git(host, path, "merge-base", "--is-ancestor", str(tip), "HEAD").code == 0
    ours = _git(host, path, "rev-list", "--count", f"refs/remotes/{entry.remote}/{branch}..HEAD").output.strip()
    head = _git(host, path, "symbolic-ref", "--quiet", "--short", "HEAD").output.strip()
    return {
        "repository": repository,
        "reachable": asked.code == 0,
        "remote_commit": tip,
        "behind": tip is not None and not inside if asked.code == 0 else None,
        "unpushed": int(ours) if ours.isdigit() else None,
        "on_branch": head == branch,
    }


@change(effect="change", needs=("git",))
def git_rebase(place: Place, repository: str, *, commit: str, seen: str) -> Commands:  # noqa: ARG001 - for guards
    """Rebase the branch onto what its remote has now; a rebase that meets conflicts is given up again.

    Refused where the remote's history was rewritten since it was last seen: rebasing would bring back what was removed.
    """
    entry = _entry(place, repository)
    path = place.path(entry.path)
    branch = entry.branch or "main"
    yield _run(path, "fetch", "--quiet", "--", entry.remote, branch, timeout=120)
    if seen:
        yield _run(path, "merge-base", "--is-ancestor", seen, "FETCH_HEAD")
    yield _run(path, "-c", "rebase.autoStash=false", "rebase", "--quiet", "FETCH_HEAD", timeout=120)


@git_rebase.pin
def _head(host: Host, place: Place, repository: str) -> dict[str, Any]:
    entry = _entry(place, repository)
    path = place.path(entry.path)
    tracked = f"refs/remotes/{entry.remote}/{entry.branch or 'main'}"
    seen = _git(host, path, "rev-parse", "--verify", "--quiet", tracked).output.strip()
    return {"commit": _git(host, path, "rev-parse", "HEAD").output.strip(), "seen": seen}


@git_rebase.precondition
def _rebasable(host: Host, place: Place, repository: str, *, commit: str) -> None:
    now = git_status.call({"host": host, "place": place, "repository": repository})
    if not now["clean"] or now["under_way"]:
        raise NotAllowed(f"repository {repository!r} has changes or a {now['under_way'] or 'conflict'} under way")
    if now["branch"] != (_entry(place, repository).branch or "main"):
        raise NotAllowed(f"repository {repository!r} is on {now['branch']}, not on the branch of the inventory")
    if now["commit"] != commit:
        raise StalePlan(f"repository {repository!r} has got other commits since it was seen")


@git_rebase.undo
def _give_up(place: Place, repository: str) -> Commands:
    """A rebase that stands still at a conflict is given up; one that went through is as good as before."""
    path = place.path(_entry(place, repository).path)
    yield Run(argv=("git", "-C", path, "rebase", "--abort"), timeout=60, ok=(0, 128))


@change(effect="change", needs=("git",))
def git_push(place: Place, repository: str) -> Commands:
    """Push the branch to its remote, never by force: what the remote has and we have not is never overwritten."""
    entry = _entry(place, repository)
    branch = entry.branch or "main"
    yield _run(
        place.path(entry.path), "push", "--no-force", "--", entry.remote, f"HEAD:refs/heads/{branch}", timeout=120
    )


@git_push.precondition
def _pushable(host: Host, place: Place, repository: str) -> None:
    seen = git_status.call({"host": host, "place": place, "repository": repository})
    if not seen["ok"] or seen["under_way"] or seen["conflicts"]:
        raise NotAllowed(
            f"repository {repository!r} is not in a state to be pushed: {seen['error'] or seen['under_way']}"
        )


@change(effect="change", repeatable=True, needs=("git",))
def git_safe_directory(place: Place, repository: str) -> Commands:
    """Tell git that the work tree of the inventory may be used by this user although another one owns it."""
    yield Run(argv=("git", "config", "--global", "--add", "safe.directory", place.path(_entry(place, repository).path)))


@git_safe_directory.already
def _is_safe(host: Host, place: Place, repository: str) -> bool:
    return not git_status.call({"host": host, "place": place, "repository": repository})["unsafe"]


@git_safe_directory.undo
def _not_safe(place: Place, repository: str) -> Commands:
    path = place.path(_entry(place, repository).path)
    yield Run(argv=("git", "config", "--global", "--unset-all", "--fixed-value", "safe.directory", path), ok=(0, 5))


def _entry(place: Place, name: str) -> Repository:
    if name not in place.inventory.repositories:
        known = ", ".join(place.inventory.repositories) or "none"
        raise NotAllowed(f"repository: {name!r} is not in the inventory (known: {known})")
    return place.inventory.repositories[name]


def _git(host: Host, path: str, *argv: str, timeout: float = 20) -> Completed:
    return host.attempt("git", "--no-optional-locks", "-C", path, *argv, timeout=timeout)


def _run(path: str, *argv: str, timeout: float = 60) -> Run:
    return Run(argv=("git", "-C", path, *argv), timeout=timeout)


def _plain(ref: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_][\w./+@-]{0,200}", ref) or ".." in ref:
        raise NotAllowed(f"ref: not the name of a ref: {ref!r}")
