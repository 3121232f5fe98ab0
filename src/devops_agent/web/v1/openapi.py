"""The description of the API in OpenAPI 3.1, made from the operations and the types that they are checked with."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from devops_agent import __version__
from devops_agent.web.v1.fields import ID
from devops_agent.web.v1.operations import JSON, OPERATIONS, PREFIX, Operation
from devops_agent.web.v1.shapes import Problem

_REF = "#/components/schemas/{model}"
_PART = re.compile(r"<(\w+)>")
_NULL = {"type": "null"}
_PROBLEMS = {
    400: "something in the request is not as it should be; `errors` names the fields",
    401: "a key is needed",
    403: "the caller may not do this",
    404: "there is no such thing, or not for this caller",
    409: "it does not go together with how things stand",
    413: "the body is too large",
    415: "the body is of a type that is not taken",
    429: "too many requests; `Retry-After` says when to go on",
    503: "busy, or being stopped; `Retry-After` says when to try again",
}
_TAGS = {
    "incidents": "Logs of things that failed.",
    "jobs": "The work on incidents: how far it is, what was found and done.",
    "plans": "What waits for a person, and what persons decide.",
    "events": "What happens, as it happens.",
    "catalogue": "What the agent knows and can do.",
    "record": "Statistics and the audit trail.",
    "halts": "The kill switch.",
    "keys": "Who may call.",
}
_PARTS = {
    "job_id": (ID, "id of a job, which is also that of its incident"),
    "batch_id": (ID, "id of a batch"),
    "fingerprint": (r"^[0-9a-f]{8,64}$", "of a plan, or its beginning"),
    "runbook_id": (r"^[a-z0-9_\-]{1,80}$", "id of a runbook"),
    "name": (r"^[a-z0-9_]{1,80}$", "name of a tool"),
    "halt_id": (ID, "id of a halt"),
    "key_id": (r"^[0-9a-f]{1,20}$", "id of a key"),
}
_HEADERS = {
    "Idempotency-Key": (
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
        "the same request with the same key is done once",
    ),
}
ABOUT = """\
From a failing log to a proven repair. Logs come in as incidents; the agent finds the lines that matter, names the
cause and plans typed actions; policy or a person allows them; they are carried out, proven, and undone where they did
not help.

Every error is a problem (RFC 9457, `application/problem+json`). Times are RFC 3339 in UTC. What is polled carries an
`ETag`. New fields may be added to answers at any time.
"""


@cache
def description() -> dict[str, Any]:
    """The whole document."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for each in OPERATIONS:
        path = PREFIX + _PART.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "devops_agent", "version": __version__, "description": ABOUT},
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{"key": []}, {"header": []}],
    }


def _operation(one: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": one.view.__name__,
        "tags": [one.tag],
        "summary": one.summary.rstrip("."),
        "description": f"{one.description}\n\nNeeds the role `{one.role}`.".strip(),
        "parameters": [*_parts(one), *_parameters(one), *_headers(one)],
        "responses": _answers(one),
    }
    content: dict[str, Any] = {}
    if one.body is not None:
        content[JSON] = {"schema": _ref(one.body)}
    content |= {name: {"schema": schema} for name, schema in one.media.items()}
    if content:
        made["requestBody"] = {"required": True, "content": content}
    return made


def _answers(one: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if one.answer is not None:
        content[JSON] = {"schema": _ref(one.answer)}
    content |= {name: {"schema": schema} for name, schema in one.also.items()}
    good: dict[str, Any] = {"description": one.summary or "done", "content": content}
    if one.status == 202:
        good["headers"] = {"Location": {"description": "where to ask how far it is", "schema": {"type": "string"}}}
    answers = {str(one.status): good}
    if one.method == "GET":
        good["headers"] = {"ETag": {"description": "changes when the answer does", "schema": {"type": "string"}}}
        answers["304"] = {"description": "nothing has changed since the answer with the `If-None-Match`"}
    if "text/event-stream" in one.also and "<job_id>" in one.path:
        answers["204"] = {"description": "the job has ended and all of it was told"}
    for status in sorted({400, 401, 403, 429, *one.problems}):
        answers[str(status)] = _problem(_PROBLEMS[status])
    answers["default"] = _problem("anything else that went wrong")
    return answers


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/problem+json": {"schema": _ref(Problem)}}}


def _parts(one: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARTS[name][1],
            "schema": {"type": "string", "pattern": _PARTS[name][0]},
        }
        for name in _PART.findall(one.path)
    ]


def _parameters(one: Operation) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    found = []
    schema = one.query.model_json_schema(ref_template=_REF)
    for name, each in schema.get("properties", {}).items():
        choices = [choice for choice in each.pop("anyOf", ()) if choice != _NULL]
        texts = [each.pop("description", ""), *(choice.pop("description", "") for choice in choices)]
        text = next(filter(None, texts), "")
        kept = {key: value for key, value in each.items() if key != "title" and (key, value) != ("default", None)}
        kept |= choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}
        found.append({"name": name, "in": "query", "required": False, "description": text, "schema": kept})
    return found


def _headers(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": _HEADERS[name][1], "schema": _HEADERS[name][0]}
        for name in one.headers
    ]


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas() -> dict[str, Any]:
    """The types of all bodies and answers, by name."""
    taken = {each.body for each in OPERATIONS if each.body is not None}
    given = {each.answer for each in OPERATIONS if each.answer is not None} | {Problem}
    both = sorted(
        [(each, "validation") for each in taken] + [(each, "serialization") for each in given],
        key=lambda pair: pair[0].__name__,
    )
    _, found = models_json_schema(both, ref_template=_REF)  # type: ignore[arg-type]
    return dict(found["$defs"])
