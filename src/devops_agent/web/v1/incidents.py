"""Incidents: logs come in one by one, as they are, as files, or many at once; lists, filters, search."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection

from devops_agent.errors import NotFound, RequestError
from devops_agent.jobs import intake, replies, search
from devops_agent.jobs.intake import Order
from devops_agent.jobs.rows import JobRow
from devops_agent.model import Incident
from devops_agent.web import auth, body
from devops_agent.web.api import backend, visible
from devops_agent.web.body import Scenario
from devops_agent.web.problems import Conflict, Forbidden
from devops_agent.web.v1.operations import PREFIX, Invalid, operation
from devops_agent.web.v1.shapes import About, Accepted, IncidentQuery, Incidents, NewIncident, NewIncidents

PACKED = "application/octet-stream"
FORM = "multipart/form-data"
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": "\\S"}
_FILES: dict[str, Any] = {
    "type": "object",
    "required": ["log"],
    "properties": {
        "log": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary", "minLength": 1}}
    },
    "additionalProperties": False,
}
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_LISTED = [name for name in JobRow.__dataclass_fields__ if name != "repeated"]


@operation(
    "POST",
    "/incidents",
    tag="incidents",
    role="responder",
    query=About,
    body=NewIncident,
    media={"text/plain": _TEXT, PACKED: {"type": "string", "format": "binary", "minLength": 1}, FORM: _FILES},
    answer=Accepted,
    status=202,
    problems=(404, 409, 413, 415, 503),
    headers=("Idempotency-Key",),
)
def create_incident(query: About, body: NewIncident | None = None) -> ResponseReturnValue:
    """Take a log and work on it.

    As JSON; or the log as it is as `text/plain`; or packed (gzip, zstd, xz, bzip2, zip, tar) as
    `application/octet-stream`; or files as `multipart/form-data` (field `log`, any number: one incident each). Title
    and place of what is not JSON come as parameters.

    `202` tells the id: `GET /jobs/{job_id}` how far it is, `GET /jobs/{job_id}/report` what was found. With an
    `Idempotency-Key` the same request sent again (within 24 hours) is answered with the same incident.
    """
    if body is not None:
        named = {"title": body.title or query.title, "place": body.place or query.place}
        return _accept([body.model_copy(update=named)])
    if request.mimetype == FORM:
        return _accept(_uploaded(query))
    raw = request.get_data(cache=False)
    text = _unpacked(raw)
    if not raw or (not text.strip() and request.mimetype == "text/plain"):
        raise Invalid([{"field": "body", "message": "empty; expected the text of the failing log"}])
    return _accept([_named(query, text)])


@operation(
    "POST",
    "/batches",
    tag="incidents",
    role="responder",
    body=NewIncidents,
    answer=Accepted,
    status=202,
    problems=(404, 409, 413, 415, 503),
    headers=("Idempotency-Key",),
)
def create_incidents(body: NewIncidents) -> ResponseReturnValue:
    """Take many logs, one incident each: all of them, or none."""
    return _accept(body.incidents)


@operation("GET", "/incidents", tag="incidents", query=IncidentQuery, answer=Incidents, problems=(409,))
def list_incidents(query: IncidentQuery) -> dict[str, Any]:
    """Incidents, newest first: all, or those that fit everything that is given.

    A page ends with `next`; given as `cursor` with the same filters it brings the page after. New incidents do not
    shift the pages.
    """
    behind = backend()
    given = query.model_dump(exclude={"q"})
    try:
        page = search.find(behind.jobs.engine, text=query.q or None, **given, places=visible())
    except RequestError as error:
        raise Conflict(str(error)) from None
    return {"items": [as_job(each) for each in page.rows], "next": page.next_cursor}


@operation("GET", "/incidents/<job_id>", tag="incidents", answer=Incident, problems=(404,))
def get_incident(job_id: str) -> Incident:
    """An incident as it came in: its text with secrets masked (not of a very long one), labels, place, source."""
    return without_paths(backend().jobs.report(job_id).incident)


def without_paths(incident: Incident) -> Incident:
    """Where the service keeps its files is nobody's business."""
    return incident.model_copy(update={"log_file": None, "baseline_file": None})


def as_job(row: JobRow) -> dict[str, Any]:
    """A job as answers show it."""
    known = asdict(row)
    times = {name: each.isoformat() if (each := known[name]) else None for name in ("created", "started", "finished")}
    return {name: known[name] for name in _LISTED} | times


def _accept(wanted: Sequence[NewIncident]) -> ResponseReturnValue:
    """Queue them, once for each idempotency key of a caller."""
    behind = backend()
    if len(wanted) > behind.settings.max_errors:
        most = behind.settings.max_errors
        raise Invalid([{"field": "incidents", "message": f"too many (at most {most} in one request)"}])
    _check_places(wanted)
    order = behind.order([Scenario(body.clean(each.log), _title(each), _labels(each), each.place) for each in wanted])
    for row, each in zip(order.rows, wanted, strict=True):
        row["options"] = json.dumps({"dry_run": True} if each.dry_run else {})
    return accepted(once_accepted(order, "\0".join(each.model_dump_json() for each in wanted)))


def once_accepted(order: Order, asked: str) -> str:
    """Queue an order; where the request brings an idempotency key that was used for the same, that one's batch."""
    jobs = backend().jobs
    key = _idempotency_key()
    if key is None:
        return jobs.add(order).id

    def put(connection: Connection) -> str:
        intake.put(connection, [order])
        return order.batch.id

    batch, now = replies.once(jobs.engine, _caller(), key, hashlib.sha256(asked.encode()).hexdigest(), put)
    if now:
        jobs.tell()
    return batch


def accepted(batch: str) -> ResponseReturnValue:
    """The answer that tells what was queued, and where to look."""
    try:
        rows = backend().jobs.batch(batch).jobs
    except NotFound as error:
        raise Conflict(f"Idempotency-Key: what it was used for is forgotten already ({error})") from None
    where = f"{PREFIX}/jobs/{rows[0].id}" if len(rows) == 1 else f"{PREFIX}/batches/{batch}"
    return {"batch": batch, "incidents": [as_job(each) for each in rows]}, 202, {"Location": where}


def _idempotency_key() -> str | None:
    """The request's key, if it brings one. Raises Invalid for one of another form."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise Invalid([{"field": "Idempotency-Key", "message": "expected 1 to 255 ASCII characters without blanks"}])
    return text


def _caller() -> str:
    found = auth.caller()
    return found.key or f"{found.via} {found.name}"[:200]


def _check_places(wanted: Sequence[NewIncident]) -> None:
    places = backend().agent.places
    mine = auth.caller().places
    for number, each in enumerate(wanted):
        if each.place is not None and (each.place not in places or (mine is not None and each.place not in mine)):
            raise NotFound(f"incidents[{number}].place: no place of this name")
        if mine is not None and each.place is None and next(iter(places)) not in mine:
            raise Forbidden(f"incidents[{number}].place: missing; your key is for {', '.join(sorted(mine))} only")


def _uploaded(about: About) -> list[NewIncident]:
    found: list[NewIncident] = []
    for name, file in request.files.items(multi=True):
        if name != "log":
            raise Invalid([{"field": name, "message": "unknown field; files come as `log`"}])
        said = _named(about, _unpacked(file.stream.read()))
        title = body.file_title(file.filename)
        found.append(said if said.title else said.model_copy(update={"title": title}))
    if not found:
        raise Invalid([{"field": "log", "message": "missing; expected at least one file"}])
    if request.form:
        raise Invalid([{"field": next(iter(request.form)), "message": "unknown field; expected files as `log`"}])
    return found


def _unpacked(content: bytes) -> str:
    """The text of a body or file. One in which nothing can be read is an incident too, whose answer says so."""
    return backend().unpacked(content)


def _named(about: About, text: str) -> NewIncident:
    return NewIncident.model_construct(log=text, title=about.title, place=about.place)


def _title(each: NewIncident) -> str:
    return body.clean(each.title).strip()


def _labels(each: NewIncident) -> dict[str, str]:
    return {body.clean(name): body.clean(value) for name, value in each.labels.items()}
