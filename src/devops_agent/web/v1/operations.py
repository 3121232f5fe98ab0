"""Operations of the API: a function, what it takes and what it answers. Checks and OpenAPI are made from the types.

A request is checked before the function sees it: parameters against `query`, the body against `body`. Whatever does
not fit is refused with 400, and the answer names every field that is wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from devops_agent.errors import RequestError
from devops_agent.web import auth
from devops_agent.web.auth import Role

PREFIX = "/api/v1"
MOST_PROBLEMS = 20
JSON = "application/json"

blueprint = Blueprint("v1", __name__, url_prefix=PREFIX)
M = TypeVar("M", bound=BaseModel)


class Query(BaseModel):
    """Base of parameters: nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """Base of bodies: nothing unknown, and no value of another type than the one that is named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Invalid(RequestError):
    """What a client sent does not fit; `problems` names each field."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{each['field']}: {each['message']}" for each in problems[:3]))
        self.problems = problems


class WrongType(RequestError):
    """The body is of a type that the operation does not take."""

    code = "unsupported_media_type"
    status = 415


@dataclass(frozen=True)
class Operation:
    """One operation, as OpenAPI tells it. `media`: bodies other than JSON, with their schemas."""

    method: str
    path: str
    view: Callable[..., Any]
    tag: str
    role: Role
    query: type[Query] | None
    body: type[BaseModel] | None
    media: Mapping[str, dict[str, Any]]
    answer: type[BaseModel] | None
    status: int
    also: Mapping[str, dict[str, Any]]
    problems: tuple[int, ...]
    headers: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The first sentence of the function's docstring."""
        return (self.view.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip()

    @property
    def description(self) -> str:
        """The rest of it."""
        return "\n\n".join((self.view.__doc__ or "").strip().split("\n\n")[1:])


OPERATIONS: list[Operation] = []


def operation(
    method: str,
    path: str,
    *,
    tag: str,
    role: Role = "viewer",
    query: type[Query] | None = None,
    body: type[BaseModel] | None = None,
    media: Mapping[str, dict[str, Any]] | None = None,
    answer: type[BaseModel] | None = None,
    status: int = 200,
    also: Mapping[str, dict[str, Any]] | None = None,
    problems: tuple[int, ...] = (),
    headers: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function an operation of the API.

    It gets the parts of the path by their names, and `query` and `body` where it has them; it returns a model, JSON
    values, or what any Flask view may.
    """

    def add(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def run(**given: Any) -> ResponseReturnValue:
            _only_known(query)
            if query is not None:
                given["query"] = _query(query)
            if body is not None and (not media or request.mimetype not in media):
                given["body"] = read_body(body, tuple(media or ()))
            elif body is None and not media and method == "POST" and request.get_data(cache=False):
                raise RequestError("body: this operation takes none")
            return _answered(view(**given), status)

        marked = auth.needs(role)(run)
        blueprint.add_url_rule(path, view.__name__, marked, methods=[method])
        OPERATIONS.append(
            Operation(
                method,
                path,
                view,
                tag,
                role,
                query,
                body,
                media or {},
                answer,
                status,
                also or {},
                problems,
                headers,
            )
        )
        return view

    return add


def read_body(model: type[M], other: tuple[str, ...] = ()) -> M:
    """The JSON body as this model. Raises Invalid, or WrongType for another type of content."""
    if request.mimetype != JSON:
        takes = ", ".join((JSON, *other))
        raise WrongType(f"Content-Type: expected {takes}, not {request.mimetype or 'nothing'}")
    raw = request.get_data(cache=False)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error, "body") from None


def invalid(error: ValidationError, whole: str) -> Invalid:
    """What pydantic found, without the values that were sent: they may be secret."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return Invalid([{"field": _field(each) or whole, "message": _message(each)} for each in found[:MOST_PROBLEMS]])


def _query(model: type[Query]) -> Query:
    args = request.args
    for name in args:
        if len(args.getlist(name)) > 1:
            raise Invalid([{"field": name, "message": "given more than once"}])
    try:
        return model.model_validate(args.to_dict())
    except ValidationError as error:
        raise invalid(error, "query") from None


def _only_known(query: type[Query] | None) -> None:
    if query is None and request.args:
        name = next(iter(request.args))
        raise Invalid([{"field": name, "message": "this operation has no such parameter"}])


def _answered(made: Any, status: int) -> ResponseReturnValue:
    """The answer as JSON; one that can be asked for again and again tells by its ETag whether anything changed."""
    if isinstance(made, BaseModel):
        made = Response(made.model_dump_json(), status, mimetype=JSON)
    elif isinstance(made, dict):
        made = made, status
    response = current_app.make_response(made)
    if request.method in ("GET", "HEAD") and response.status_code == 200 and not response.is_streamed:
        response.headers["Cache-Control"] = "no-cache, private"
        response.add_etag(weak=True)
        response.make_conditional(request)
    return response


def _field(problem: ErrorDetails) -> str:
    text = ""
    for part in problem["loc"]:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text[:200].encode("utf-8", "replace").decode()


def _message(problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        return "missing"
    if problem["type"] == "extra_forbidden":
        return "unknown field"
    if problem["type"] == "string_pattern_mismatch" and problem["msg"].endswith(r"'\S'"):
        return "must not be empty"
    if problem["msg"].startswith("Input should be "):
        return "expected " + problem["msg"].removeprefix("Input should be ")
    message = problem["msg"].removeprefix("Value error, ")
    return message if message != problem["msg"] or "JSON" in message else message[:1].lower() + message[1:]
