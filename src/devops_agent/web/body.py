"""What clients send, read strictly: every refusal names the field and says what was expected."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

from flask import request

from devops_agent.errors import RequestError


class Scenario(NamedTuple):
    """One item of `errors`."""

    context: str
    title: str = ""
    labels: dict[str, str] = {}
    place: str | None = None


def scenarios(most: int) -> list[Scenario]:
    """The scenarios to work on: `errors` of the request, bounded by `max_scenarios`."""
    body = json_object()
    if "errors" not in body:
        raise RequestError("errors: missing; expected a list of objects with a `context`")
    errors = body["errors"]
    if not isinstance(errors, list):
        raise RequestError(f"errors: expected a list, not {_kind(errors)}")
    if not errors:
        raise RequestError("errors: the list is empty")
    if len(errors) > most:
        raise RequestError(f"errors: {len(errors)} items are too many (at most {most} in one request)")
    wanted = [_scenario(item, f"errors[{number}]") for number, item in enumerate(errors)]
    if "max_scenarios" in body:
        bound = body["max_scenarios"]
        if type(bound) is not int or bound < 1:
            raise RequestError("max_scenarios: expected a positive integer")
        wanted = wanted[:bound]
    return wanted


def beside() -> Scenario:
    """What a request says about a log that is sent as it is: `place`, `title` and `labels` (a JSON object), as fields
    of the form or in the address."""
    given: dict[str, Any] = {**request.args.to_dict(), **request.form.to_dict()}
    try:
        labels = json.loads(given["labels"]) if given.get("labels") else None
    except (ValueError, RecursionError):
        raise RequestError("labels: expected a JSON object whose values are strings") from None
    title, place = text_field(given, "title", 300), text_field(given, "place", 200) or None
    return Scenario("", title, _labels(labels, "labels"), place)


def json_object(optional: bool = False) -> dict[str, Any]:
    """The body as a JSON object; with `optional` no body at all counts as an empty one."""
    raw = content()
    if optional and not raw:
        return {}
    if not request.is_json:
        raise RequestError("body: expected JSON (send it with `Content-Type: application/json`)")
    if not raw:
        raise RequestError("body: empty; expected a JSON object")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise RequestError("body: not valid JSON") from None
    if not isinstance(value, dict):
        raise RequestError(f"body: expected a JSON object, not {_kind(value)}")
    return value


def content() -> bytes:
    """The whole body. One that comes in chunks and is too long is refused, never silently cut."""
    raw = request.get_data(cache=False)
    if request.content_length is None:
        request.stream.read(1)
    return raw


def text_field(body: dict[str, Any], name: str, limit: int = 2000, where: str = "") -> str:
    """An optional string of the body."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError(f"{where}{name}: expected a string, not {_kind(value)}")
    if len(value) > limit:
        raise RequestError(f"{where}{name}: longer than {limit} characters")
    return clean(value).strip()


def wait_seconds(limit: float) -> float | None:
    """How long the client is willing to wait (`?wait=`); None where it does not say."""
    text = request.args.get("wait")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise RequestError("wait: expected a number of seconds, 0 or more")
    return min(seconds, limit)


def clean(text: str) -> str:
    """Text that can be stored everywhere: no NUL, no lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "�")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def file_title(filename: str | None) -> str:
    """What an uploaded file's incident is called. A secret may stand behind any part of a file's name."""
    from devops_agent.distil.redact import redact

    name = clean((filename or "").replace("\\", "/").rpartition("/")[2])[:300]
    for at in (0, *(each.end() for each in re.finditer(r"[-_.]+", name))):
        masked, found = redact(name[at:])
        if found:
            return name[:at] + masked
    return name


def _scenario(item: Any, where: str) -> Scenario:
    if not isinstance(item, dict):
        raise RequestError(f"{where}: expected an object with a `context`, not {_kind(item)}")
    if "context" not in item:
        raise RequestError(f"{where}.context: missing; expected the text of the failing log")
    context = item["context"]
    if not isinstance(context, str):
        raise RequestError(f"{where}.context: expected a string, not {_kind(context)}")
    if not context.strip():
        raise RequestError(f"{where}.context: empty; expected the text of the failing log")
    title = text_field(item, "title", 300, f"{where}.")
    place = text_field(item, "place", 200, f"{where}.") or None
    return Scenario(clean(context), title, _labels(item.get("labels"), f"{where}.labels"), place)


def _labels(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise RequestError(f"{where}: expected an object whose values are strings")
    if len(value) > 50 or any(len(name) > 200 or len(each) > 1000 for name, each in value.items()):
        raise RequestError(f"{where}: too many or too long (at most 50, names 200 and values 1000 characters)")
    return {clean(name): clean(each) for name, each in value.items()}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
