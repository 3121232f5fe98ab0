"""A whole log, a page at a time, with its original line numbers; also raw."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from flask import Response, request

from devops_agent.errors import NotFound
from devops_agent.jobs import logs
from devops_agent.model import Incident
from devops_agent.web import body
from devops_agent.web.api import backend
from devops_agent.web.pages import excerpt
from devops_agent.web.pages.frame import blueprint, number, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

PER_PAGE = 500
MOST_FOUND = 200
PIECE = 1 << 20


@blueprint.get("/jobs/<job_id>/log")
def log(job_id: str) -> ResponseReturnValue:
    """The page of the log that holds a line, or the lines that hold a text."""
    jobs = backend().jobs
    row = jobs.job(job_id)
    report = jobs.report(row.id)
    marked = {line.number for part in excerpt.parts(report) for line in part.lines if line.decisive}
    wanted = number("line")
    text = body.clean(request.args.get("find", ""))[:200]
    first = (wanted - 1) // PER_PAGE * PER_PAGE + 1
    total = report.digest.lines_read if report.digest else 0
    with _open(row.id, report.incident) as stream:
        lines = list(_found(stream, text) if text else _page(stream, first))
    if not text and not lines and first > 1:
        raise NotFound(f"line {wanted} is beyond the end of the log")
    return render(
        "log.html",
        row=row,
        lines=lines,
        marked=marked,
        find=text,
        wanted=wanted if "line" in request.args else None,
        first=first,
        last=first + len(lines) - 1,
        total=total,
        per_page=PER_PAGE,
        most=MOST_FOUND,
    )


@blueprint.get("/jobs/<job_id>/log.txt")
def raw_log(job_id: str) -> ResponseReturnValue:
    """The whole log (secrets masked) as a file, streamed."""
    jobs = backend().jobs
    incident = jobs.report(job_id).incident
    stream = _open(jobs.job(job_id).id, incident)
    response = Response(_pieces(stream), mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="{incident.id}.log"'
    response.call_on_close(stream.close)
    return response


def _open(job: str, incident: Incident) -> BinaryIO:
    if not incident.log_file:
        return io.BytesIO(incident.log.encode("utf-8", "replace"))
    behind = backend()
    found = logs.here(behind.jobs.engine, job, incident, behind.settings.data_dir)
    try:
        return Path(found.log_file or "").open("rb")
    except OSError:
        raise NotFound("the log has been forgotten by now; the lines that matter are kept with the incident") from None


def _page(stream: BinaryIO, first: int) -> Iterator[tuple[int, str]]:
    """Lines from `first` on. What is before is passed over in large pieces."""
    left = first - 1
    while left:
        begin = stream.tell()
        piece = stream.read(PIECE)
        if not piece:
            return
        if (inside := piece.count(b"\n")) <= left:
            left -= inside
            if not left and piece.endswith(b"\n"):
                break
            if not left:
                stream.seek(begin + piece.rindex(b"\n") + 1)
            continue
        place = -1
        for _ in range(left):
            place = piece.index(b"\n", place + 1)
        stream.seek(begin + place + 1)
        left = 0
    for at, line in enumerate(itertools.islice(stream, PER_PAGE), first):
        yield at, _text(line)


def _found(stream: BinaryIO, text: str) -> Iterator[tuple[int, str]]:
    """Lines that hold this text, whatever their case."""
    wanted = text.lower().encode("utf-8", "replace")
    hits = ((at, _text(line)) for at, line in enumerate(stream, 1) if wanted in line.lower())
    return itertools.islice(hits, MOST_FOUND)


def _text(line: bytes) -> str:
    return line[: 64 << 10].decode("utf-8", "replace").rstrip("\r\n")


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece
