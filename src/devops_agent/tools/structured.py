"""Settings in YAML, JSON and TOML: listed by dotted key, set without touching anything else in the text.

YAML is edited at the place of the one value, found by the parser's marks, so comments, quotes and indentation stay as
they are; the outcome is parsed again and must differ in that value alone. A part of a key with dots in it is written
in quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from devops_agent.errors import BadArguments

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parts(key: str) -> list[str]:
    """The parts of a dotted key: `a."b.c".0` has three."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|([^."]+)', key)
    if not found or any(not (quoted or bare) for quoted, bare in found):
        raise BadArguments(f"key: not a dotted key: {key!r}")
    return [quoted.replace('\\"', '"') if quoted else bare for quoted, bare in found]


def dotted(path: list[str]) -> str:
    """The key of a path."""
    return ".".join(f'"{part}"' if "." in part or not part else part for part in path)


def yaml_entries(text: str) -> Iterator[tuple[str, str]]:
    """All scalar values of all documents."""
    for document in _composed(text):
        yield from _scalars(document, [])


def yaml_put(text: str, key: str, new: Any) -> str:
    """Set one value, or add it to a mapping that is there."""
    wanted = parts(key)
    for node in _composed(text):
        found = _at(node, wanted)
        if isinstance(found, yaml.ScalarNode):
            edited = text[: found.start_mark.index] + _yaml_scalar(new, found) + text[found.end_mark.index :]
            return _proven(text, edited, wanted)
        if found is not None:
            raise BadArguments(f"key: {key!r} is not one value, but holds several")
    for node in _composed(text):
        parent = _at(node, wanted[:-1])
        if isinstance(parent, yaml.MappingNode) and parent.value:
            return _proven(text, _added(text, parent, wanted[-1], new), wanted)
    if not text.strip():
        return f"{_yaml_scalar(wanted[0], None)}: {_yaml_scalar(new, None)}\n" if len(wanted) == 1 else _no_parent(key)
    return _no_parent(key)


def json_entries(text: str) -> Iterator[tuple[str, str]]:
    """All values that are not objects or lists."""
    yield from _values(_json(text), [])


def json_put(text: str, key: str, new: Any) -> str:
    """Set one value, at its place where it is there; indentation as it was."""
    data = _json(text) if text.strip() else {}
    wanted = parts(key)
    in_place = _json_in_place(text, wanted, new)
    _set(data, wanted, new)
    if in_place is not None and _json(in_place) == data:
        return in_place
    indent = re.search(r"\n([ \t]+)\S", text)
    body = json.dumps(data, indent=indent[1] if indent else None, ensure_ascii=False)
    return body + ("\n" if text.endswith("\n") or not text else "")


def _json_in_place(text: str, wanted: list[str], new: Any) -> str | None:
    """JSON is nearly YAML, so the value's place can mostly be had from the YAML parser; None where not."""
    try:
        found = _at(next(iter(_composed(text)), None), wanted)
    except BadArguments:
        return None
    if not isinstance(found, yaml.ScalarNode):
        return None
    return text[: found.start_mark.index] + json.dumps(new, ensure_ascii=False) + text[found.end_mark.index :]


def toml_entries(text: str) -> Iterator[tuple[str, str]]:
    """All values that are not tables or arrays."""
    import tomllib

    try:
        yield from _values(tomllib.loads(text), [])
    except tomllib.TOMLDecodeError as error:
        raise BadArguments(f"file: not valid TOML: {error}") from None


def toml_put(text: str, key: str, new: Any) -> str:
    """Set one value; form and comments stay."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        _set(document, parts(key), new)
    except TOMLKitError as error:
        raise BadArguments(f"file: not valid TOML: {error}") from None
    return tomlkit.dumps(document)


def _composed(text: str) -> list[yaml.Node]:
    try:
        return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.YAMLError as error:
        raise BadArguments(f"file: not valid YAML: {error}") from None


def _at(node: yaml.Node | None, path: list[str]) -> yaml.Node | None:
    for part in path:
        if isinstance(node, yaml.MappingNode):
            node = next((held for name, held in node.value if getattr(name, "value", None) == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
        else:
            return None
    return node


def _scalars(node: yaml.Node, path: list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, yaml.ScalarNode):
        yield dotted(path), str(node.value)
    elif isinstance(node, yaml.MappingNode):
        for name, held in node.value:
            if isinstance(name, yaml.ScalarNode):
                yield from _scalars(held, [*path, str(name.value)])
    elif isinstance(node, yaml.SequenceNode):
        for number, held in enumerate(node.value):
            yield from _scalars(held, [*path, str(number)])


def _yaml_scalar(new: Any, old: yaml.ScalarNode | None) -> str:
    style = old.style if old is not None and isinstance(new, str) and old.style in ("'", '"') else None
    rendered = yaml.safe_dump(new, default_style=style, width=10**6, allow_unicode=True, default_flow_style=True)
    body = rendered.removesuffix("\n").removesuffix("\n...")
    if "\n" in body:
        raise BadArguments("value: it must be one line")
    return body


def _added(text: str, parent: yaml.MappingNode, name: str, new: Any) -> str:
    entry = f"{_yaml_scalar(name, None)}: {_yaml_scalar(new, None)}"
    if parent.flow_style:
        end = parent.value[-1][1].end_mark.index
        return f"{text[:end]}, {entry}{text[end:]}"
    first = parent.value[0][0].start_mark
    begin = text.rfind("\n", 0, first.index) + 1
    lead = text[begin : first.index]
    indent = " " * len(lead) if lead.strip() else lead
    return f"{text[: first.index]}{entry}\n{indent}{text[first.index :]}"


def _proven(before: str, after: str, path: list[str]) -> str:
    """The new text, if it says what the old one says but for this one value."""
    try:
        old, now = (list(yaml.load_all(each, Loader=_Loader)) for each in (before, after))
    except yaml.YAMLError:
        raise BadArguments("value: it cannot be written into this file") from None
    for document in old:
        if _reaches(document, path):
            _set(document, path, None)
    for document in now:
        if _reaches(document, path):
            _set(document, path, None)
    if old != now:
        raise BadArguments("key: this file's form does not allow the edit without touching other values")
    return after


def _reaches(document: Any, path: list[str]) -> bool:
    for part in path[:-1]:
        if isinstance(document, dict) and _key(document, part) in document:
            document = document[_key(document, part)]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return False
    return isinstance(document, dict | list)


def _key(mapping: dict[Any, Any], part: str) -> Any:
    """The key that reads like this part: YAML's `on`, numbers and the like are not strings."""
    return next((key for key in mapping if _written(key) == part), part)


def _written(key: Any) -> str:
    return {True: "true", False: "false", None: "null"}.get(key, str(key)) if key in (True, False, None) else str(key)


def _set(data: Any, path: list[str], new: Any) -> None:
    for part in path[:-1]:
        if isinstance(data, list):
            data = data[_index(data, part)]
            continue
        if not isinstance(data, dict) or _key(data, part) not in data:
            _no_parent(".".join(path))
        data = data[_key(data, part)]
    if isinstance(data, list):
        data[_index(data, path[-1])] = new
    elif isinstance(data, dict):
        data[_key(data, path[-1])] = new
    else:
        _no_parent(".".join(path))


def _index(data: list[Any], part: str) -> int:
    if not part.isdigit() or int(part) >= len(data):
        raise BadArguments(f"key: no entry {part!r} in a list of {len(data)}")
    return int(part)


def _values(data: Any, path: list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        for name, held in data.items():
            yield from _values(held, [*path, str(name)])
    elif isinstance(data, list):
        for number, held in enumerate(data):
            yield from _values(held, [*path, str(number)])
    elif path:
        yield dotted(path), json.dumps(data) if isinstance(data, bool | None) else str(data)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadArguments(f"file: not valid JSON: {error}") from None


def _no_parent(key: str) -> str:
    raise BadArguments(f"key: there is nothing that {key!r} could be set in")
