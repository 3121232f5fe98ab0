"""What is changed in a work tree of the inventory, and committing named files of it, nothing else."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import secrecy
from devops_agent.tools.base import Commands, Completed, Host, change, probe
from devops_agent.tools.catalogue.repositories import git_status

Files = Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
Message = Annotated[str, Field(min_length=3, max_length=2000)]
_AUTHOR = re.compile(r"\s*([^<>\n]{1,100}?)\s*<([^<>\s]{3,100})>\s*")
_SHOWN = 60_000


@probe(needs=("git",))
def git_diff(
    host: Host, place: Place, repository: str, file: str | None = None, staged: bool = False
) -> dict[str, Any]:
    """What is changed in a work tree and not committed: the files, and the lines without secrets. All, or one file.

    `staged`: what would be committed, instead of what would not.
    """
    path = _tree(place, repository)
    if file is not None:
        secrecy.require_readable(host, place, f"{path}/{_inside(host, path, file)}")
    options = ("--no-ext-diff", "--no-textconv", "--no-color", *(("--cached",) if staged else ()))
    only = ("--", _inside(host, path, file)) if file is not None else ("--",)
    names = _git(host, path, "diff", "--name-only", "-z", *options, *only)
    files = [name for name in names.output.split("\0") if name]
    readable = [name for name in files if _may_be_shown(host, place, f"{path}/{name}")]
    shown = _git(host, path, "diff", "--unified=1", *options, "--", *readable).output if readable else ""
    text = "\n".join(secrecy.masked(line) for line in shown.splitlines())[:_SHOWN]
    return {"repository": repository, "files": files, "hidden": len(files) - len(readable), "text": text}


@change(effect="change", needs=("git",))
def git_commit(
    host: Host,
    place: Place,
    repository: str,
    files: Files,
    message: Message,
    *,
    commit: str,  # noqa: ARG001 - for the guards
    contents: dict[str, str],  # noqa: ARG001 - for the guards
) -> Commands:
    """Commit exactly these files of a work tree, as they were seen; what else is changed or staged stays as it is.

    Hooks run as for anybody. The author is the inventory's (`author`), else the repository's own.
    """
    path = _tree(place, repository)
    names = _named(host, path, files)
    yield _run(path, "add", "--", *names)
    author = _author(place, repository)
    text = f"--message={_told(message)}"
    yield _run(path, *author, "commit", "--quiet", "--only", "--cleanup=whitespace", text, "--", *names, timeout=120)


@git_commit.pin
def _seen(host: Host, place: Place, repository: str, files: Files) -> dict[str, Any]:
    path = _tree(place, repository)
    head = _git(host, path, "rev-parse", "HEAD").output.strip()
    return {"commit": head, "contents": {name: _blob(host, path, name) for name in _named(host, path, files)}}


@git_commit.already
def _is_committed(host: Host, place: Place, repository: str, *, contents: dict[str, str]) -> bool:
    """They are what the last commit has."""
    path = _tree(place, repository)
    return all(_git(host, path, "rev-parse", "--quiet", "--verify", f"HEAD:{name}").output.strip() == blob
               for name, blob in contents.items() if blob) and all(contents.values())  # fmt: skip


@git_commit.precondition
def _may_commit(
    host: Host, place: Place, repository: str, files: Files, message: str, *, commit: str, contents: dict[str, str]
) -> None:
    path = _tree(place, repository)
    now = git_status.call({"host": host, "place": place, "repository": repository})
    if not now["ok"] or now["under_way"] or now["conflicts"]:
        raise NotAllowed(
            f"repository {repository!r} is not in a state to commit to: {now['under_way'] or now['error']}"
        )
    branch = place.inventory.repositories[repository].branch
    if now["detached"] or (branch and now["branch"] != branch):
        raise NotAllowed(f"repository {repository!r} is on {now['branch']}, not on the branch of the inventory")
    names = _named(host, path, files)
    for name in names:
        _may_hold(host, place, path, name)
    if _git(host, path, "rev-parse", "HEAD").output.strip() != commit:
        raise StalePlan(f"repository {repository!r} has got other commits since it was seen")
    if any(_blob(host, path, name) != contents.get(name) for name in names):
        raise StalePlan(f"files of repository {repository!r} have changed since they were seen")
    _told(message)
    if not _author(place, repository) and not _has_author(host, path):
        raise NotAllowed(f"repositories.{repository}.author: neither the inventory nor the repository names an author")


@git_commit.undo
def _back(host: Host, place: Place, repository: str, files: Files, *, commit: str) -> Commands:
    path = _tree(place, repository)
    yield _run(path, "reset", "--quiet", "--soft", commit)
    yield Run(argv=("git", "--literal-pathspecs", "-C", path, "reset", "--quiet", "--", *_named(host, path, files)))


@git_commit.before_undo
def _is_ours(host: Host, place: Place, repository: str, *, commit: str, contents: dict[str, str]) -> None:
    """Only exactly what we committed is taken back: it is still the tip, holds just these files, and nobody has it."""
    path = _tree(place, repository)
    parent = _git(host, path, "rev-parse", "--quiet", "--verify", "HEAD^").output.strip()
    if parent != commit:
        raise StalePlan(f"the latest commit of repository {repository!r} is not the one that was made; it stays")
    names = _git(host, path, "diff", "--name-only", "-z", "--no-renames", "HEAD^", "HEAD").output.split("\0")
    if {name for name in names if name} != set(contents):
        raise StalePlan(f"the latest commit of repository {repository!r} holds other files than those named; it stays")
    entry = place.inventory.repositories[repository]
    there = _git(host, path, "ls-remote", "--", entry.remote, timeout=30)
    tip = _git(host, path, "rev-parse", "HEAD").output.strip()
    known = _git(host, path, "branch", "--remotes", "--contains", "HEAD", "--format=%(refname)").output.strip()
    if known or tip in there.output:
        raise NotAllowed(f"the commit of repository {repository!r} was pushed; it stays")


def _tree(place: Place, repository: str) -> str:
    if repository not in place.inventory.repositories:
        known = ", ".join(place.inventory.repositories) or "none"
        raise NotAllowed(f"repository: {repository!r} is not in the inventory (known: {known})")
    return place.path(place.inventory.repositories[repository].path)


def _named(host: Host, path: str, files: Files) -> list[str]:
    return sorted({_inside(host, path, file) for file in files})


def _inside(host: Host, path: str, file: str) -> str:
    """The path of a file as git has it; raises NotAllowed for what lies outside of the work tree, or in `.git`."""
    name = posixpath.normpath(posixpath.relpath(file, path) if file.startswith("/") else file)
    real = posixpath.dirname(host.resolve(f"{path}/{name}/.."[:-3]))
    tree = host.resolve(path)
    if name in (".", "..") or name.startswith(("../", "-")) or ".git" in name.split("/") or "\0" in name:
        raise NotAllowed(f"files: {file!r} is no file of the work tree")
    if real != tree and not real.startswith(tree.rstrip("/") + "/"):
        raise NotAllowed(f"files: {file!r} lies outside of the work tree")
    return name


def _may_hold(host: Host, place: Place, path: str, name: str) -> None:
    """A file that may go into a commit: a single one, changed or new, neither ignored nor a secret nor protected."""
    full = f"{path}/{name}"
    found = host.stat(full)
    if found is not None and found.kind != "file":
        raise NotAllowed(f"files: {name!r} is a {found.kind}; files are committed one by one")
    secrecy.require_readable(host, place, full)
    if place.is_protected(full):
        raise NotAllowed(f"{name} is protected by the inventory")
    state = _git(host, path, "status", "--porcelain", "--ignored", "-z", "--", name).output
    if state.startswith("!!"):
        raise NotAllowed(f"files: {name!r} is ignored by the repository")
    if not state:
        raise NotAllowed(f"files: {name!r} is not changed")


def _may_be_shown(host: Host, place: Place, path: str) -> bool:
    try:
        secrecy.require_readable(host, place, path)
    except NotAllowed:
        return False
    return True


def _blob(host: Host, path: str, name: str) -> str:
    """The hash that git gives a file's content, filters applied; empty for a file that is gone."""
    return _git(host, path, "hash-object", "--", f"{path}/{name}").output.strip()


def _told(message: str) -> str:
    if any(ord(character) < 32 and character != "\n" for character in message) or "\x7f" in message:
        raise NotAllowed("message: control characters in it")
    return secrecy.masked(message)


def _author(place: Place, repository: str) -> tuple[str, ...]:
    said = place.inventory.repositories[repository].author
    if not said:
        return ()
    found = _AUTHOR.fullmatch(said)
    if not found:
        raise NotAllowed(f"repositories.{repository}.author: must be `Name <address>`, not {said!r}")
    return ("-c", f"user.name={found[1]}", "-c", f"user.email={found[2]}")


def _has_author(host: Host, path: str) -> bool:
    return all(_git(host, path, "config", key).output.strip() for key in ("user.name", "user.email"))


def _git(host: Host, path: str, *argv: str, timeout: float = 20) -> Completed:
    options = ("--no-optional-locks", "--literal-pathspecs", "-C", path)
    return host.attempt("git", *options, *argv, timeout=timeout)


def _run(path: str, *argv: str, timeout: float = 60) -> Run:
    return Run(argv=("git", "--literal-pathspecs", "-C", path, *argv), timeout=timeout)
