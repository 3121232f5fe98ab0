"""The description of the API for programs (`/api/v1/openapi.json`) and for people (`/api/v1/docs`).

The page is made from the description, without script and without outside addresses, so that it works offline.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import Response, make_response, render_template, request, send_from_directory
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from devops_agent.web.v1.openapi import description
from devops_agent.web.v1.operations import blueprint

POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"


@blueprint.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """The description in OpenAPI 3.1."""
    answer = Response(json.dumps(description()), mimetype="application/json")
    answer.add_etag(weak=True)
    answer.headers["Cache-Control"] = "no-cache, private"
    return answer.make_conditional(request)


@blueprint.get("/docs")
def docs() -> ResponseReturnValue:
    """The description as a page."""
    found = description()
    answer = make_response(
        render_template(
            "api.html",
            api=found,
            groups=[(tag, _operations(found, tag["name"])) for tag in found["tags"]],
            schemas={name: _fields(schema) for name, schema in sorted(found["components"]["schemas"].items())},
        )
    )
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["Cache-Control"] = "no-cache, private"
    return answer


@blueprint.get("/docs.css")
def style() -> ResponseReturnValue:
    """How the page looks."""
    return send_from_directory(Path(__file__).parents[1] / "static", "api.css", max_age=3600)


def _operations(found: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [
        {**one, "method": method.upper(), "path": path, "curl": curl(method, path, one)}
        for path, methods in found["paths"].items()
        for method, one in methods.items()
        if tag in one["tags"]
    ]


def curl(method: str, path: str, one: dict[str, Any]) -> str:
    """How one calls it from a shell."""
    parts = ["curl -sS", '-H "Authorization: Bearer $KEY"']
    if method == "post":
        parts.append("-X POST")
    if "requestBody" in one:
        parts.append("--json '{...}'")
    return " ".join([*parts, f'"$URL{path}"'])


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    needed = set(schema.get("required", ()))
    return [
        {"name": name, "type": kind(each), "needed": name in needed, "text": each.get("description", "")}
        for name, each in schema.get("properties", {}).items()
    ]


def kind(schema: dict[str, Any]) -> str:
    """A type in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " | ".join(dict.fromkeys(kind(each) for each in schema[several]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'])}"
    if "format" in schema:
        return f"{schema.get('type', '')} ({schema['format']})"
    return str(schema.get("type", "anything"))


def marked(text: str) -> Markup:
    """Text with what stands between backquotes as code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(text.split("`"))
    )


blueprint.add_app_template_filter(kind, "api_kind")
blueprint.add_app_template_filter(marked, "api_text")
