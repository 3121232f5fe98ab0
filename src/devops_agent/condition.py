"""Conditions of runbooks: `name.field >= literal`, and `$name.field` bindings. Nothing more, on purpose.

A condition over something that was not seen is *unknown*: it neither holds nor fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_FORM = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(==|!=|>=|<=|>|<|contains|in)\s*(.+?)\s*$")
_REFERENCE = re.compile(r"^\$([A-Za-z_][\w]*(?:\.[\w-]+)*)$")


class Unbound(LookupError):
    """A `$name` that stands for nothing here."""


@dataclass(frozen=True)
class Condition:
    """One comparison. `right` is a literal, or a `$name.field` that is looked up."""

    left: str
    operator: str
    right: Any
    text: str

    def holds(self, bindings: Mapping[str, Any]) -> bool | None:
        """True, False, or None where a value that it needs was not seen."""
        try:
            left = lookup(self.left, bindings)
            right = bind(self.right, bindings)
        except Unbound:
            return None
        if left is None and self.operator not in ("==", "!="):
            return None
        return _compare(left, self.operator, right)


@lru_cache(maxsize=4096)
def parse(text: str) -> Condition:
    """Read `name.field OP literal`; raises ValueError with what is wrong."""
    found = _FORM.match(text)
    if not found:
        raise ValueError(f"not a condition (name.field OPERATOR literal): {text!r}")
    left, operator, right = found.groups()
    if _REFERENCE.match(right):
        return Condition(left, operator, right, text)
    try:
        return Condition(left, operator, json.loads(_as_json(right)), text)
    except ValueError:
        raise ValueError(f"the right side is not a literal (quote strings): {text!r}") from None


def lookup(path: str, bindings: Mapping[str, Any]) -> Any:
    """The value at `name.field.field`; raises Unbound where any part is missing."""
    name, *fields = path.split(".")
    if name not in bindings:
        raise Unbound(path)
    value = bindings[name]
    for field in fields:
        if isinstance(value, Mapping) and field in value:
            value = value[field]
        elif isinstance(value, list | tuple) and field.isdigit() and int(field) < len(value):
            value = value[int(field)]
        else:
            raise Unbound(path)
    return value


def bind(value: Any, bindings: Mapping[str, Any]) -> Any:
    """Replace every `$name.field` that is a whole value; text around a `$` is never touched, so nothing is spliced."""
    if isinstance(value, str) and (found := _REFERENCE.match(value)):
        return lookup(found[1], bindings)
    if isinstance(value, Mapping):
        return {key: bind(item, bindings) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bind(item, bindings) for item in value]
    return value


def references(value: Any) -> set[str]:
    """Names (first parts) of all `$name` references inside a value; the lint checks that they exist."""
    if isinstance(value, str):
        found = _REFERENCE.match(value)
        return {found[1].split(".")[0]} if found else set()
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {name for item in items for name in references(item)}


def _as_json(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return json.dumps(text[1:-1])
    return text


def _compare(left: Any, operator: str, right: Any) -> bool | None:
    if operator == "==":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    try:
        if operator == "contains":
            return right in left
        if operator == "in":
            return left in right
        if operator == ">=":
            return bool(left >= right)
        if operator == "<=":
            return bool(left <= right)
        return bool(left > right) if operator == ">" else bool(left < right)
    except TypeError:
        return None
