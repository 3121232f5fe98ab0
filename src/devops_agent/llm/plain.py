"""For models that know no functions: the functions are written into the instructions, and calls are read from the text.

An answer is one JSON object `{"call": NAME, "args": {…}}`, or a list of them, wherever it stands in the text.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from devops_agent.llm.request import Message, Request
from devops_agent.usage import FunctionCall

_HOW = (
    "\n\nYou cannot call functions directly here. Answer with nothing but one JSON object "
    '{"call": "NAME", "args": {…}} (or a list of them). Functions:\n'
)
_TRIED = 40
"""Places of a text at which an object is looked for."""


def request(given: Request) -> Request:
    """The same request with its functions, calls and their answers as text."""
    if not given.functions:
        return given
    lines = [f"- {each.name}: {each.description} args: {_short(each.schema)}" for each in given.functions]
    return Request(given.system + _HOW + "\n".join(lines), tuple(_told(each) for each in given.messages))


def calls(text: str) -> tuple[FunctionCall, ...]:
    """The calls that a text holds; none where it holds no such object."""
    decoder = json.JSONDecoder()
    start = -1
    for _ in range(_TRIED):
        start = min((at for mark in "{[" if (at := text.find(mark, start + 1)) >= 0), default=-1)
        if start < 0:
            break
        try:
            value, _end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        found = [each for each in (value if isinstance(value, list) else [value]) if _is_call(each)]
        if found:
            return tuple(_call(number, each) for number, each in enumerate(found, 1))
    return ()


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("call") or value.get("name"), str)


def _call(number: int, value: dict[str, Any]) -> FunctionCall:
    args = value.get("args", value.get("arguments", {}))
    name = value.get("call") or value.get("name")
    kept = args if isinstance(args, dict) else None
    return FunctionCall(
        id=f"text-{number}", name=str(name), args=kept, raw="" if kept is not None else str(args)[:2000]
    )


def _told(message: Message) -> Message:
    if message.role == "function":
        return Message("user", f"Result of {message.name}:\n{message.text}")
    if message.calls:
        said = [{"call": call.name, "args": call.args or {}} for call in message.calls]
        return replace(message, text=json.dumps(said, ensure_ascii=False), calls=())
    return message


def _short(schema: dict[str, Any]) -> str:
    return json.dumps(schema.get("properties", {}), separators=(",", ":"))
