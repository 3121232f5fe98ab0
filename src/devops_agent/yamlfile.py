"""YAML files, read safely and with errors that name the file and the line; and what is wrong with a value, in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from devops_agent.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Any:
    """The content of a YAML file; raises ConfigError where it is missing or cannot be parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Any:
    """The content of YAML text; `name` stands for the file in errors."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader, the C one where there is it)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{name}{where}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from None


_EXPECTED = {
    "a valid dictionary": "names with values (name: value)",
    "a valid tuple": "a list, such as [one, two]",
    "a valid list": "a list, such as [one, two]",
    "a valid string": "a text (a number or date as a text stands in quotes)",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
}


def wrong(problem: Mapping[str, Any], model: type[BaseModel] | None = None) -> str:
    """What pydantic found, in words for whoever wrote the file; a field that is none gets its nearest neighbour.

    `problem` is one of `ValidationError.errors()`, `model` what was validated.
    """
    message = str(problem["msg"])
    if problem["type"] == "extra_forbidden":
        known = sorted(set(_fields(model, problem["loc"][:-1]))) if model else []
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, 1)
        return "no such field" + (f" (perhaps {near[0]})" if near else f" (known: {', '.join(known)})" if known else "")
    if message == "Field required":
        return "missing"
    if message.startswith("Input should be "):
        said, _, more = message.removeprefix("Input should be ").partition(", ")
        said = ("a number " if said.startswith(("greater", "less")) else "") + said
        return "expected " + (_EXPECTED.get(said) or (f"{said}, {more}" if more else said))
    return message.removeprefix("Value error, ")


def _fields(model: type[BaseModel], way: tuple[str | int, ...]) -> Iterator[str]:
    """Names of the fields at the end of a way through models."""
    inner = [model]
    for step in way:
        known = [each.model_fields[step].annotation for each in inner if step in each.model_fields]
        inner = [found for each in known for found in _models(each)] or inner
    for each in inner:
        yield from (field.alias or name for name, field in each.model_fields.items())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if hasattr(annotation, "model_fields"):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)
