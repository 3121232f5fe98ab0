"""What is known: runbooks to browse, what became of their answers, a bench for patterns, and own ones to edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, redirect, request, url_for

from devops_agent.errors import NotFound, RequestError
from devops_agent.jobs import audit
from devops_agent.jobs.statistics import of_runbook, statistics
from devops_agent.web import auth, body
from devops_agent.web.api import backend, view, visible
from devops_agent.web.pages import bench
from devops_agent.web.pages.frame import blueprint, check_form, field, number, render, who

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

PER_PAGE = 40
LONGEST = 64 << 10
"""Characters of a runbook that is edited on the page."""
NEW = """\
id: my_service_cannot_start
cause: environment_variable_missing
title: The service lacks a variable
description: >
  What happens, and why.
references: [https://example.org/our-wiki/my-service]
match:
  any:
    - 'my-service: (?P<variable>[A-Z_]+) is not set'
advice:
  - set it in the settings of the service and start it again
examples:
  match: ["my-service: DATABASE_URL is not set"]
  ignore: ["my-service: started"]
"""


@blueprint.get("/runbooks")
def runbooks() -> ResponseReturnValue:
    """All runbooks, those that fired most first; searched by the address."""
    behind = backend()
    known = behind.library().runbooks
    text = body.clean(request.args.get("q", "")).strip()[:200]
    words = text.lower().split()
    chosen = [each for each in known.values() if all(word in _words(each) for word in words)]
    fired = fired_most(behind.jobs.engine)
    chosen.sort(key=lambda each: (-fired.get(each.id, (0, 0, 0))[0], each.id))
    page = number("page")
    return render(
        "runbooks.html",
        q=text,
        rows=chosen[(page - 1) * PER_PAGE : page * PER_PAGE],
        total=len(chosen),
        fired=fired,
        page=page,
        more=len(chosen) > page * PER_PAGE,
        own=bench.own_ids(behind.settings.runbooks),
        may_edit=behind.settings.runbooks is not None,
        problem=behind.runbooks_problem(),
    )


@blueprint.get("/runbooks/<name>")
def runbook(name: str) -> ResponseReturnValue:
    """One runbook: what it looks for, what it concludes and does, its examples, what became of its answers."""
    import yaml

    behind = backend()
    found = behind.library().runbooks.get(name)
    if found is None:
        raise NotFound(f"no runbook {name!r}")
    record = found.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    own = bench.own_ids(behind.settings.runbooks)
    return render(
        "runbook.html",
        book=found,
        text=yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=100),
        counted=of_runbook(behind.jobs.engine, name, visible()),
        own=name in own,
        may_edit=behind.settings.runbooks is not None,
    )


@blueprint.get("/pattern")
@auth.needs("responder")
def try_pattern() -> ResponseReturnValue:
    """Which stored logs a pattern would match, and where."""
    source = body.clean(request.args.get("pattern", "")).strip()[:2000]
    result = bench.try_pattern(source, backend().jobs, visible()) if source else None
    return render("pattern.html", pattern=source, result=result)


@blueprint.get("/runbooks/edit")
@auth.needs("admin")
def edit_runbook() -> ResponseReturnValue:
    """The form for an own runbook, new or one that is there."""
    folder = _folder()
    name = request.args.get("name", "")
    text = bench.read_own(folder, name) if name else NEW
    return _form(text, name)


@blueprint.post("/runbooks/check")
@auth.needs("admin")
def check_runbook() -> ResponseReturnValue:
    """What is wrong with a runbook, while it is typed."""
    check_form()
    return render("problems.html", problems=bench.problems(_text(), _folder()), checked=True)


@blueprint.post("/runbooks/edit")
@auth.needs("admin")
def save_runbook() -> ResponseReturnValue:
    """Keep an own runbook; it is in force at once. Refused where it is wrong."""
    check_form()
    folder, text = _folder(), _text()
    found = bench.problems(text, folder)
    if found:
        return _form(text, field("name", 80), found), 400
    name = bench.write_own(folder, text)
    behind = backend()
    with behind.jobs.engine.begin() as connection:
        audit.append(connection, "", "runbook edited", who(), {"runbook": name, "sha256": bench.digest(text)})
    return redirect(url_for("pages.runbook", name=name), 303)


def fired_most(engine: Any) -> dict[str, tuple[int, int, int]]:
    """How often each runbook named a cause, and how many of how many judged answers were right."""
    return {
        each["runbook"]: (each["fired"], each["confirmed"] + each["resolved"], each["judged"])
        for each in statistics(engine, (), view=view())["by_runbook"]
    }


def _form(text: str, name: str, found: list[str] | None = None) -> Response:
    problems = bench.problems(text, _folder()) if found is None else found
    return render("edit.html", text=text, name=name, problems=problems, checked=True)


def _folder() -> Any:
    folder = backend().settings.runbooks
    if folder is None:
        raise RequestError("runbooks: no own directory is configured (DEVOPS_AGENT_RUNBOOKS)")
    return folder


def _text() -> str:
    text = body.clean(request.form.get("text", "")).replace("\r\n", "\n")
    if len(text) > LONGEST:
        raise RequestError(f"text: longer than {LONGEST} characters")
    return text


def _words(book: Any) -> str:
    return f"{book.id} {book.cause} {book.title} {book.description}".lower()
