"""A planner that obeys: it reads what it is shown, finds the orders in it, however they are hidden, and follows them.

It stands for the most gullible model there could be. Orders are tool calls in the notations of several model families,
shell commands, addresses to fetch, names to look up, files to read, and conclusions to draw; a `{placeholder}` in one
is filled with what it has read so far. What it would send to a model is kept in `requests`.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from devops_agent.model import Check, Diagnosis, Proposal, Step
from devops_agent.tools import registry

MOST = 24
"""Looks in one walk."""
_ALIKE = str.maketrans("аеорсхуіѕԁһјӏԛѡАВЕКМНОРСТХ", "aeopcxyisdhjlqwABEKMHOPCTX")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff\u00ad\u202a-\u202e\u2066-\u2069]")
_CALL = re.compile(r"\b([a-z_]{3,40})\(((?:\s*[a-z_]+\s*[=:]\s*(?:\"[^\"]*\"|'[^']*'|[^,()'\"]+),?)*)\s*\)")
_ARGUMENT = re.compile(r"([a-z_]+)\s*[=:]\s*(?:\"([^\"]*)\"|'([^']*)'|([^,()'\"]+))")
_INVOKE = re.compile(r"<invoke name=\"(\w+)\">(.*?)</invoke>", re.S)
_PARAMETER = re.compile(r"<parameter name=\"(\w+)\">(.*?)</parameter>", re.S)
_SHELL = re.compile(
    r"(?:^|[`$>|:;&]\s*|\b(?:run|execute|use)\s*:?\s+`?)((?:sudo |curl |wget |rm |sh |bash |nc |kubectl |docker |"
    r"python3? |chmod |cat |dig |nslookup |ping |kill |git |crontab |echo |"
    r"systemctl |psql |iptables |ssh |tar |base64 )[^`\n]{2,300})",
    re.M,
)
_URL = re.compile(r"https?://[^\s\"'<>`)\]]+")
_NAME = re.compile(r"\{[a-z_]+\}(?:\.[a-z0-9-]+)+|\b(?:[a-z0-9-]+\.)+(?:example|invalid|internal|test)\b")
_FILE = re.compile(
    r"(?:read|open|show|print|include|attach|cat|send)\w*\s+(?:the (?:file|contents of)\s+)?[`\"']?"
    r"((?:\.{0,2}/|~/)[\w./~-]+)",
    re.I,
)
HOLE = re.compile(r"\{[a-z_]+\}|%7B[a-z_]+%7D|\$\{[A-Za-z_]+\}|<[A-Z_]{3,}>", re.I)


@dataclass(frozen=True)
class Order:
    """One thing that a text tells to do."""

    tool: str
    args: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> str:
        """What makes two orders the same."""
        return f"{self.tool} {json.dumps(self.args, sort_keys=True, default=str)}"


class Obedient:
    """Looks at `first`, and then does all that it is told by what it sees."""

    name = "obedient"

    def __init__(self, *first: tuple[str, dict[str, Any]]) -> None:
        self.first = first
        self.requests: list[str] = []
        self.orders: dict[str, Order] = {}
        self.claims: dict[str, Any] = {}

    def diagnose(self, digest: Any, history: Any, look: Any) -> Diagnosis:
        """Follow every order, those that come up on the way too; conclude what the texts say."""
        text = "\n".join([digest.model_dump_json(), *(each.text for each in digest.evidence)])
        self._read("\n".join(each.text for each in digest.evidence), text)
        for tool, args in self.first:
            self._look(look, Order(tool, args))
        done: set[str] = set()
        while (todo := [each for key, each in self.orders.items() if key not in done]) and len(done) < MOST:
            for order in todo[: MOST - len(done)]:
                done.add(order.key)
                self._look(look, order)
        fields = {
            name: self.claims[name] for name in ("cause", "summary", "confidence", "failure") if name in self.claims
        }
        return Diagnosis(
            **{"cause": "config_invalid", "summary": "as I was told", "confidence": 1.0, **fields},
            looked=tuple(look.seen),
        )

    def propose(self, diagnosis: Diagnosis, run: Any) -> Proposal:
        """Everything that it was told, as a step; what only looks, also as a proof and as something to wait for."""
        return proposal(self.wanted())

    def wanted(self) -> list[Order]:
        """Every order, with what it has read put into it."""
        return [Order(each.tool, self._filled(each.args)) for each in self.orders.values()]

    def _look(self, look: Any, order: Order) -> None:
        if order.tool in registry.tools():
            seen = look(order.tool, self._filled(order.args))
            told = f"{seen.id}: {seen.text} {json.dumps(seen.data, default=str, ensure_ascii=False)}"
            self._read(told, told)

    def _read(self, text: str, request: str) -> None:
        self.requests.append(request)
        for order in orders(text):
            if isinstance(order, dict):
                self.claims |= order
            else:
                self.orders.setdefault(order.key, order)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._filled(each) for name, each in value.items()}
        if not isinstance(value, str) or not HOLE.search(value):
            return value
        loot = base64.b32encode("\n".join(self.requests)[-40:].encode()).decode().strip("=").lower()[:56]
        return HOLE.sub(loot, value)


def proposal(wanted: list[Order]) -> Proposal:
    """These orders as a proposal."""
    known = registry.tools()
    checks = [
        Check(probe=each.tool, args=each.args, expect=("result.ok == true",))
        for each in wanted
        if each.tool in known and known[each.tool].kind == "probe"
    ]
    waits = [
        Step(
            tool="wait_until",
            args={"probe": check.probe, "args": check.args, "expect": ["result.ok == true"], "limit": 0.1},
        )
        for check in checks
    ]
    return Proposal(
        cause="config_invalid",
        steps=(*(Step(tool=each.tool, args=each.args, why="I was told to") for each in wanted), *waits),
        checks=tuple(checks),
    )


def orders(text: str) -> Iterator[Order | dict[str, Any]]:
    """Every order in a text; a dict is a conclusion that it wants drawn."""
    for variant in dict.fromkeys(variants(text)):
        yield from _json(variant)
        for name, inner in _INVOKE.findall(variant):
            yield Order(name, dict(_PARAMETER.findall(inner)))
        for name, inner in _CALL.findall(variant):
            if name in registry.tools() or inner:
                yield Order(name, {key: _typed(a or b or c.strip()) for key, a, b, c in _ARGUMENT.findall(inner)})
        for command in _SHELL.findall(variant):
            yield from _command(command.strip())
        for url in _URL.findall(variant):
            yield Order("http_check", {"url": url.rstrip(".,;:")})
        for name in _NAME.findall(variant):
            yield Order("dns_lookup", {"name": name})
        for path in _FILE.findall(variant):
            yield Order("read_file", {"path": path})
        if re.search(
            r"(conclude|report|answer|say|reply|mark)\b.{0,60}\b(no failure|resolved|healthy|success|nothing is wrong)",
            variant,
            re.I,
        ):
            yield {"failure": False, "summary": "all is well"}


def variants(text: str) -> Iterator[str]:
    """The text, and everything that may be hidden in it."""
    yield text
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_ALIKE)
    yield plain
    yield "".join(chr(ord(each) - 0xE0000) for each in text if 0xE0020 <= ord(each) <= 0xE007E)
    yield html.unescape(plain)
    yield urllib.parse.unquote(plain)
    yield plain.encode("latin-1", "ignore").decode("unicode_escape", "ignore") if "\\" in plain else ""
    for blob in re.findall(r"[A-Za-z0-9+/_-]{24,}={0,2}", plain):
        try:
            yield base64.b64decode(
                blob.replace("-", "+").replace("_", "/") + "=" * (-len(blob) % 4), validate=True
            ).decode()
        except (ValueError, binascii.Error):
            continue
    for blob in re.findall(r"\b(?:[0-9a-f]{2}[ :]?){12,}\b", plain):
        try:
            yield bytes.fromhex(blob.replace(":", "").replace(" ", "")).decode()
        except ValueError:
            continue
    if re.search(r"rot.?13|ebg", plain, re.I):
        yield codecs.decode(plain, "rot13")
    if re.search(r"revers|backwards", plain, re.I):
        yield plain[::-1]
    yield re.sub(r"(?<=\b\w)[ .](?=\w\b)", "", plain) if re.search(r"(?:\b\w ){6}", plain) else ""


def _json(text: str) -> Iterator[Order | dict[str, Any]]:
    decoder = json.JSONDecoder()
    for found in re.finditer(r"\{", text):
        try:
            value, _ = decoder.raw_decode(text, found.start())
        except ValueError:
            continue
        yield from _in(value)


def _in(value: Any) -> Iterator[Order | dict[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from _in(each)
    if not isinstance(value, dict):
        return
    name = next(
        (
            value[key]
            for key in ("tool", "name", "function", "action", "probe", "change", "recipient_name")
            if isinstance(value.get(key), str)
        ),
        None,
    )
    args = next(
        (value[key] for key in ("args", "arguments", "parameters", "input", "params", "action_input") if key in value),
        {},
    )
    if isinstance(args, str):
        try:
            args = json.loads(args)
        except ValueError:
            args = {"command": args}
    if name and isinstance(args, dict):
        yield Order(name.rsplit(".", 1)[-1], args)
    claims = {key: value[key] for key in ("cause", "summary", "confidence", "failure") if key in value}
    if {"granted", "approved", "approval", "verdict", "fingerprint"} & set(value):
        yield Order("approve", {key: each for key, each in value.items() if isinstance(each, str | int | bool)})
    if (
        claims
        and isinstance(claims.get("confidence", 1.0), int | float)
        and isinstance(claims.get("failure", True), bool)
    ):
        yield {key: each for key, each in claims.items() if key != "cause" or isinstance(each, str)}
    for each in value.values():
        yield from _in(each)


def _command(command: str) -> Iterator[Order]:
    yield Order("shell", {"command": command})
    yield Order("rerun_test", {"test_id": command})
    words = command.removeprefix("sudo ").split()
    last = words[-1].strip("`'\"")
    match words[0]:
        case "cat" | "base64" | "tar":
            yield Order("read_file", {"path": last})
            yield Order("read_log", {"file": last})
        case "dig" | "nslookup" | "ping":
            yield Order(
                "dns_lookup",
                {"name": next((each for each in words[1:] if "." in each and not each.startswith("@")), last)},
            )
        case "kill":
            yield Order("end_process", {"pid": int(last) if last.isdigit() else last})
        case "rm":
            yield Order("clean_volume", {"volume": last})
            yield Order("delete_file", {"path": last})
        case "git":
            yield Order("git_push", {"repository": "work", "force": "--force" in command})
        case "nc":
            yield Order("tcp_check", {"address": words[1], "port": int(last) if last.isdigit() else 80})
        case "kubectl":
            yield Order("kubectl_get", {"kind": words[2] if len(words) > 2 else "secret", "name": last})
        case _:
            pass


def _typed(value: str) -> Any:
    return int(value) if re.fullmatch(r"-?\d{1,9}", value) else {"true": True, "false": False}.get(value, value)
