"""Running what failed again: a check of the inventory, or a test by the project's own runner."""

from __future__ import annotations

import json
import re
from typing import Annotated

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools.base import Commands, Host, change
from devops_agent.tools.catalogue.environments import python_of

Times = Annotated[int, Field(ge=1, le=10)]
Limit = Annotated[float, Field(gt=0, le=3600)]


@change(effect="change")
def rerun_test(
    host: Host, place: Place, test_id: str, times: Times = 3, timeout: Limit = 600.0, folder: str | None = None
) -> Commands:
    """Run a failing test or check again, up to `times` times: one that passes is flaky, one that never does is broken.

    `test_id` is a check of the inventory, or a test as the project's runner names it (pytest, go, cargo, npm, yarn,
    Maven, Gradle, RSpec); an empty one or `all` runs the whole suite.
    """
    name = test_id.strip()
    checks = place.inventory.checks
    if name in checks or (not name and len(checks) == 1):
        check = checks[name or next(iter(checks))]
        yield Run(argv=check.command, cwd=check.cwd or place.workspace, timeout=check.timeout, attempts=times)
        return
    if any(ord(character) < 32 for character in name) or name.startswith("-") or len(name) > 500:
        raise NotAllowed(f"test_id: not the name of a test: {name[:80]!r}")
    where = _folder(host, place, folder)
    argv = _runner(host, place, where, "" if name in ("all", "suite") else name)
    yield Run(argv=argv, cwd=where, timeout=timeout, attempts=times)


def _folder(host: Host, place: Place, folder: str | None) -> str:
    where = place.path(folder or ".")
    root = place.path(".")
    if where != root and not where.startswith(root.rstrip("/") + "/"):
        raise NotAllowed(f"folder: {folder!r} lies outside the workspace")
    if not host.exists(where):
        raise NotAllowed(f"folder: {where} is not there")
    return where


def _runner(host: Host, place: Place, where: str, name: str) -> tuple[str, ...]:
    """The command of the runner that the project has; the form of the name decides where it has several."""
    there = set(host.folder(where))
    found: dict[str, tuple[str, ...]] = {}
    if there & {"pytest.ini", "conftest.py", "tox.ini", "pyproject.toml", "setup.cfg", "setup.py"} or ".py" in name:
        found["python"] = _pytest(host, place, name)
    if "go.mod" in there:
        found["go"] = _go(name)
    if "Cargo.toml" in there:
        found["cargo"] = ("cargo", "test", *((name,) if name else ()))
    if "package.json" in there:
        found["npm"] = _npm(host, where, there, name)
    if "pom.xml" in there:
        wrapper = "./mvnw" if "mvnw" in there else "mvn"
        found["maven"] = (
            wrapper,
            "-B",
            "-q",
            *((f"-Dtest={_maven(name)}", "-DfailIfNoTests=true") if name else ()),
            "test",
        )
    if there & {"build.gradle", "build.gradle.kts"}:
        wrapper = "./gradlew" if "gradlew" in there else "gradle"
        found["gradle"] = (wrapper, "test", *(("--tests", name.replace("#", ".")) if name else ()))
    if "Gemfile" in there and ("spec" in there or ".rspec" in there):
        found["rspec"] = ("bundle", "exec", "rspec", *((name,) if name else ()))
    if not found:
        raise NotAllowed(f"no test runner is known in {where} (and no check {name!r} in the inventory)")
    if len(found) == 1:
        return next(iter(found.values()))
    kind = _kind(name)
    if kind in found:
        return found[kind]
    raise NotAllowed(
        f"several test runners in {where} ({', '.join(found)}); name the test as its runner does, or the folder"
    )


def _kind(name: str) -> str | None:
    forms = (
        ("python", r"\.py(::|$)"),
        ("rspec", r"_spec\.rb"),
        ("npm", r"\.(test|spec)\.[cm]?[jt]sx?"),
        ("go", r"^(\./\S+\s+)?Test[A-Z_]\w*"),
        ("maven", r"^[\w.]+Test\w*(#\w+)?$"),
        ("gradle", r"^[\w.]+Test\w*([.#]\w+)?$"),
        ("cargo", r"^\w+(::\w+)+$"),
    )
    return next((kind for kind, form in forms if re.search(form, name)), None)


def _pytest(host: Host, place: Place, name: str) -> tuple[str, ...]:
    interpreter, _ = python_of(host, place, None)
    return (interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(("--", name) if name else ()))


def _go(name: str) -> tuple[str, ...]:
    package, _, test = name.rpartition(" ")
    if not test.startswith("Test"):
        return ("go", "test", "-count=1", name or "./...")
    whole = "/".join(f"^{re.escape(part)}$" for part in test.split("/"))
    return ("go", "test", "-count=1", "-run", whole, package or "./...")


def _npm(host: Host, where: str, there: set[str], name: str) -> tuple[str, ...]:
    runner = "yarn" if "yarn.lock" in there else "pnpm" if "pnpm-lock.yaml" in there else "npm"
    if not name:
        return (runner, "test")
    try:
        script = str(json.loads(host.read(f"{where}/package.json")).get("scripts", {}).get("test", ""))
    except (ValueError, AttributeError, CommandFailed):
        script = ""
    more: tuple[str, ...]
    if re.search(r"\.[cm]?[jt]sx?$", name):
        more = (name,)
    else:
        more = ("-g" if "mocha" in script or "playwright" in script else "-t", name)
    return (runner, "test", *(("--",) if runner != "yarn" else ()), *more)


def _maven(name: str) -> str:
    kind, _, method = name.partition("#")
    return f"{kind.rsplit('.', 1)[-1]}#{method}" if method else kind.rsplit(".", 1)[-1]
