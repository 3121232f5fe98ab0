"""`diagnose` and `distil`: they read a log and touch nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devops_agent.cli import options, terminal
from devops_agent.errors import RequestError

if TYPE_CHECKING:
    from devops_agent.config import Settings
    from devops_agent.model import Diagnosis, Digest

DIAGNOSE = """\b
Examples:
  devops-agent diagnose build.log
  make 2>&1 | devops-agent diagnose --json
  devops-agent diagnose --batch cases.jsonl > causes.jsonl
"""
DISTIL = """\b
Examples:
  devops-agent distil build.log --lines 20
  zcat build.log.gz | devops-agent distil --json
  devops-agent distil today.log --baseline last-good.log
"""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog=DIAGNOSE)(diagnose)
    app.command(epilog=DISTIL)(distil)


def diagnose(
    log: options.Log = "-",
    batch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help='One {"id", "context"} a line in, one result a line out, in order; - reads standard input.',
        ),
    ] = None,
    planner: options.Planner = None,
    as_json: options.Json = False,
) -> None:
    """Name the cause from the text alone.

    Nothing is probed or changed.
    """
    settings = options.settings(planner=planner)
    if batch is not None:
        if log != "-":
            raise RequestError("--batch: give either a LOG or --batch, not both")
        raise typer.Exit(_batch(batch, settings))
    source = options.source(log)
    from devops_agent import bootstrap

    with terminal.working("reading the log"):
        digest, diagnosis = bootstrap.diagnose(source, settings)
    if as_json:
        terminal.write_json(as_record(digest, diagnosis))
    else:
        _show(digest, diagnosis)
    raise typer.Exit(3 if diagnosis.failure else 0)


def distil(
    log: options.Log = "-",
    lines: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many lines.")] = 50,
    baseline: Annotated[
        Path | None, typer.Option(metavar="LOG", help="A passing log of the same job: its lines weigh little.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show the lines that matter, with their numbers."""
    if baseline is not None:
        options.readable(baseline, "--baseline")
    source = options.source(log)
    settings = options.settings()
    from devops_agent.distil import distil_source
    from devops_agent.runbooks.load import library
    from devops_agent.scan import Signatures

    with terminal.working("reading the log"):
        signatures = Signatures(library([settings.runbooks] if settings.runbooks else []).signatures())
        digest = distil_source(source, signatures, lines, baseline=baseline, matched=False)
    excerpt = _excerpt(digest)
    if as_json:
        terminal.write_json({"lines_read": digest.lines_read, "bytes_read": digest.bytes_read, "excerpt": excerpt})
    elif not excerpt:
        terminal.hint("the log has no line that speaks of a failure")
    else:
        _show_lines(excerpt, set())


def as_record(digest: Digest, diagnosis: Diagnosis) -> dict[str, Any]:
    """The documented JSON of a diagnosis."""
    texts = {evidence.id: evidence for evidence in (*digest.evidence, *diagnosis.looked)}
    cited = [texts[name] for name in diagnosis.evidence if name in texts]
    return {
        "cause": diagnosis.cause,
        "failure": diagnosis.failure,
        "confidence": round(diagnosis.confidence, 4),
        "summary": diagnosis.summary,
        "facts": diagnosis.facts,
        "evidence": [{"line": each.line, "text": each.text} for each in cited if each.line is not None],
        "alternatives": [
            {"cause": each.cause, "confidence": round(each.confidence, 4)} for each in diagnosis.alternatives
        ],
        "excerpt": _excerpt(digest),
        "fingerprint": digest.fingerprint,
        "runbook": diagnosis.runbook,
        "advice": list(diagnosis.advice),
        "references": list(diagnosis.references),
    }


def _batch(path: Path, settings: Settings) -> int:
    """One result for each line, also for one that is none: the others do not suffer. Gives the exit status."""
    from devops_agent import bootstrap

    diagnoser = bootstrap.Diagnoser(settings)
    status = 0
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        case: dict[str, Any] = {}
        try:
            case = _case(line)
            if not isinstance(case.get("context"), str):
                raise RequestError("context: must be a text")
            digest, diagnosis = diagnoser.diagnose(case["context"].encode("utf-8", "surrogatepass"))
        except RequestError as error:
            terminal.remark(f"devops-agent: {path}, line {number}: {error}")
            terminal.write_json({"id": case.get("id"), "line": number, "error": str(error)}, indent=None)
            status = RequestError.exit_code
            continue
        terminal.write_json({"id": case.get("id"), **as_record(digest, diagnosis)}, indent=None)
    return status


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, or of standard input for `-`."""
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    with options.readable(path, "--batch").open("rb") as lines:
        yield from lines


def _case(line: bytes) -> dict[str, Any]:
    try:
        case = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"not JSON: {error}") from None
    if not isinstance(case, dict):
        raise RequestError('must be an object with "id" and "context"')
    return case


def _excerpt(digest: Digest) -> list[dict[str, Any]]:
    return [{"line": each.line, "text": each.text} for each in digest.evidence if each.line is not None]


def _show(digest: Digest, diagnosis: Diagnosis) -> None:
    if not diagnosis.failure:
        read = digest.lines_read
        said = f"{read} line{'s' if read != 1 else ''} read, none of them speaks of one"
        terminal.heading("no failure", said if digest.bytes_read else "the log is empty", good=True)
        return
    terminal.heading(diagnosis.cause, f"confidence {diagnosis.confidence:.0%}" if diagnosis.confidence else "")
    terminal.write(diagnosis.summary)
    record = as_record(digest, diagnosis)
    for name, value in diagnosis.facts.items():
        terminal.write(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    if record["excerpt"]:
        terminal.write()
        _show_lines(record["excerpt"], {each["line"] for each in record["evidence"]})
    _show_list("What to do:", list(diagnosis.advice))
    _show_list("It may also be:", [f"{each.cause} ({each.confidence:.0%})" for each in diagnosis.alternatives])
    _show_list("See:", list(diagnosis.references))


def _show_list(title: str, items: list[str]) -> None:
    if items:
        terminal.write(f"\n{title}")
        for item in items:
            terminal.write(f"  - {item}")


def _show_lines(excerpt: list[dict[str, Any]], cited: set[int]) -> None:
    width = max(len(str(each["line"])) for each in excerpt)
    previous = excerpt[0]["line"] - 1
    for each in excerpt:
        if each["line"] > previous + 1:
            terminal.line(" " * width, "...", dim=True)
        previous = each["line"]
        terminal.line(str(each["line"]).rjust(width), each["text"], strong=each["line"] in cited)
