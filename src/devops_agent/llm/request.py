"""What is sent to a model, in a form that no provider owns; and what every request goes through before it leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from devops_agent.usage import FunctionCall

_LONG = 1200
"""A message of at most so many characters is not shortened: it carries instructions or is small anyway."""

CHARACTERS_A_TOKEN = 2.0
"""Fewer characters than any tokenizer needs for a token of logs and JSON on average: estimates err on the dear side."""


@dataclass(frozen=True)
class Function:
    """A function that the model may call; `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One message. `function` messages answer the call `call` of the function `name`."""

    role: Literal["user", "assistant", "function"]
    text: str = ""
    calls: tuple[FunctionCall, ...] = ()
    call: str = ""
    name: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON values, without what is empty: what the journal keeps."""
        made: dict[str, Any] = {"role": self.role, "text": self.text}
        if self.calls:
            made["calls"] = [call.model_dump(exclude_defaults=True) for call in self.calls]
        if self.role == "function":
            made |= {"call": self.call, "name": self.name}
        return made


@dataclass(frozen=True)
class Request:
    """Everything that one call sends: instructions, the messages so far, and the functions that are offered."""

    system: str
    messages: tuple[Message, ...]
    functions: tuple[Function, ...] = ()

    def redacted(self, redact: Callable[[str], str]) -> Request:
        """The same with every text masked, those inside of calls too: the last line of defence before it leaves."""
        return Request(
            system=self.system,
            messages=tuple(_masked(message, redact) for message in self.messages),
            functions=self.functions,
        )

    def shorter(self) -> Request:
        """The same with its long messages cut to half, beginning and end kept: for a model whose context it exceeds."""
        return replace(self, messages=tuple(replace(each, text=_halved(each.text)) for each in self.messages))

    def text(self) -> str:
        """All of it as JSON: what is measured and hashed."""
        body = {
            "system": self.system,
            "messages": [message.plain() for message in self.messages],
            "functions": [[each.name, each.description, each.schema] for each in self.functions],
        }
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.text().encode("utf-8", "surrogatepass")).hexdigest()

    def tokens(self) -> int:
        """More tokens than this can have, but for texts that no tokenizer knows how to pack."""
        return int(len(self.text()) / CHARACTERS_A_TOKEN) + 64


def _masked(message: Message, redact: Callable[[str], str]) -> Message:
    calls = tuple(
        call.model_copy(update={"args": masked(call.args, redact), "raw": redact(call.raw)}) for call in message.calls
    )
    return replace(message, text=redact(message.text), calls=calls)


def masked(value: Any, redact: Callable[[str], str]) -> Any:
    """A JSON value with every text in it masked; a value is also judged by the name that it stands under."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): _named(str(key), item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, redact) for item in value]
    return value


def _named(key: str, item: Any, redact: Callable[[str], str]) -> Any:
    """`{"password": "x"}` has no word in its value that gives it away; `password=x` has."""
    if not isinstance(item, str):
        return masked(item, redact)
    alone = redact(item)
    if alone != item:
        return alone
    head, equals, tail = redact(f"{key}={item}").partition("=")
    return tail if equals and head == key and "\n" not in item else alone


def _halved(text: str) -> str:
    if len(text) <= _LONG:
        return text
    part = len(text) // 4
    return f"{text[:part]}\n[… cut: it was too long for the model …]\n{text[-part:]}"
