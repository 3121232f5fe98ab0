"""`tools` and `runbooks`: what the agent can do and what it knows, shown from the things themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devops_agent.cli import backtest, drafting, options, terminal
from devops_agent.errors import NotFound

if TYPE_CHECKING:
    from devops_agent.tools.base import Tool

LINT = """\b
Examples:
  devops-agent runbooks lint                    all that are shipped
  devops-agent runbooks lint my-runbooks/       a folder of your own, or one file
"""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(tools)
    runbooks = typer.Typer(
        help="The runbooks: what is known about causes.", no_args_is_help=True, rich_markup_mode=None
    )
    runbooks.command("list")(list_runbooks)
    runbooks.command("show")(show_runbook)
    runbooks.command("lint", epilog=LINT)(lint_runbooks)
    runbooks.command("schema")(show_schema)
    runbooks.command("test", epilog=backtest.HELP)(backtest.try_runbooks)
    drafted = "Draft a runbook from a job that was solved without one."
    runbooks.command("draft", epilog=drafting.HELP, short_help=drafted)(drafting.draft_runbook)
    app.add_typer(runbooks, name="runbooks")


def tools(as_json: options.Json = False) -> None:
    """The catalogue of probes and changes."""
    from devops_agent.tools import registry

    known = sorted(registry.tools().values(), key=lambda tool: (tool.kind != "probe", tool.name))
    if as_json:
        terminal.write_json([_tool(each) for each in known])
        return
    terminal.table(
        ("tool", "kind", "effect", "arguments", "what it does"),
        [(each.name, each.kind, each.effect, " ".join(each.parameters), each.summary) for each in known],
    )


def list_runbooks(
    cause: Annotated[str | None, typer.Option(metavar="ID", help="Only those for this cause.")] = None,
    as_json: options.Json = False,
) -> None:
    """All runbooks, by cause."""
    library = _library()
    known = sorted(library.runbooks.values(), key=lambda each: (each.cause, each.id))
    chosen = [each for each in known if cause in (None, each.cause)]
    if cause is not None and not chosen:
        raise NotFound(f"no runbook for the cause {cause!r}; `devops-agent runbooks list` shows all causes")
    if as_json:
        terminal.write_json([{"id": each.id, "cause": each.cause, "title": each.title} for each in chosen])
        return
    terminal.table(("id", "cause", "title"), [(each.id, each.cause, each.title) for each in chosen])


def show_runbook(
    name: Annotated[str, typer.Argument(metavar="ID", show_default=False)], as_json: options.Json = False
) -> None:
    """One runbook, as it is read, and what became of its answers here."""
    library = _library()
    if name not in library.runbooks:
        raise NotFound(f"no runbook {name!r}{_nearest(name, library.runbooks)}; `devops-agent runbooks list` shows all")
    learned = _learned(name)
    record = library.runbooks[name].model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if as_json:
        terminal.write_json({**record, "experience": learned} if learned else record)
        return
    import yaml

    terminal.write(yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=110).rstrip())
    for each in learned:
        terminal.write(_experienced(each))


def show_schema() -> None:
    """The JSON Schema of a runbook, for editors.

    Put it into a file and name that in the first line of a runbook: `# yaml-language-server: $schema=FILE`.
    """
    terminal.write_json(schema())


def schema() -> dict[str, Any]:
    """JSON Schema of runbooks, with the causes and tools that there are."""
    from devops_agent.runbooks.causes import from_data, read_data
    from devops_agent.runbooks.schema import editor_schema
    from devops_agent.tools import registry

    kinds: dict[str, list[str]] = {"probe": [], "change": []}
    for each in registry.tools().values():
        kinds[each.kind].append(each.name)
    return editor_schema(from_data(read_data()).meanings, kinds["probe"], kinds["change"])


def lint_runbooks(
    path: Annotated[Path | None, typer.Argument(metavar="PATH", show_default=False)] = None,
    as_json: options.Json = False,
) -> None:
    """Check runbooks.

    Their form, causes, tools and arguments, patterns, and that every example fires and wins.
    """
    with terminal.working("checking the runbooks"):
        problems = _problems(path)
    if as_json:
        terminal.write_json([str(each) for each in problems])
    else:
        for each in problems:
            terminal.write(str(each))
        terminal.hint(f"{len(problems)} problems" if problems else "no problem found")
    raise typer.Exit(2 if problems else 0)


def _learned(name: str) -> list[dict[str, Any]]:
    """The counts of its findings, where anything is kept on this machine at all."""
    from dataclasses import asdict

    from devops_agent import bootstrap

    settings = options.settings()
    if not settings.database_url and not (settings.data_dir / "devops_agent.db").exists():
        return []
    from devops_agent.jobs import experience

    return [asdict(each) for each in experience.of_runbook(bootstrap.open_jobs(settings).engine, name)]


def _experienced(each: dict[str, Any]) -> str:
    rate = f"{each['right']} of {each['judged']} judged answers right" if each["judged"] else "no answer judged"
    return (
        f"# here, {each['finding'] or 'without a finding'}: fired {each['fired']} times, {rate} "
        f"({each['confirmed']} confirmed, {each['corrected']} corrected); "
        f"its remedy helped {each['resolved']} of {each['acted']} times"
    )


def _problems(path: Path | None) -> list[Any]:
    from devops_agent.planners.backtest import split
    from devops_agent.planners.examples import losing
    from devops_agent.runbooks.lint import lint
    from devops_agent.runbooks.load import library
    from devops_agent.tools.registry import tools

    found = lint(path, tools())
    if found:
        return found
    if path is None:
        return list(losing(library()))
    known, _, tested = split(_library(), path)
    return [problem for key in tested for problem in losing(known, key)]


def _library() -> Any:
    from devops_agent.runbooks.own import whole_library

    return whole_library(options.settings().runbooks)


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "kind": tool.kind,
        "effect": tool.effect,
        "repeatable": tool.repeatable,
        "needs": list(tool.needs),
        "summary": tool.summary,
        "parameters": tool.schema(),
    }


def _nearest(name: str, known: dict[str, Any]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
