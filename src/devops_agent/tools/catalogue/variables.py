"""Variables of a service: where one belongs, which value is documented for it, and giving it to the service.

Sources: systemd.exec(5) (Environment=), supervisord's documentation (environment=), environment files.
"""

from __future__ import annotations

import difflib
import posixpath
import re
import shlex
from typing import Any

from devops_agent.errors import BadArguments, NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import commands, edits, secrecy, settings
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.catalogue.settings import env_value

_PLACEHOLDER = re.compile(
    r"change.?me|^<.*>$|^\[.*\]$|x{3,}|^\.{3}|todo|fixme|example\.(com|org|net)|your[-_ ]|replace|dummy|placeholder"
    r"|^\*+$|secret|^(none|null|undefined|value|string|here)$",
    re.I,
)
_ALIKE = 0.85


@probe
def variable(host: Host, place: Place, name: str, service: str) -> dict[str, Any]:
    """A variable that a service needs: whether it has it, where it would be written, what is documented for it.

    All that `env_value` tells. `needed`: it is missing or empty; `file` is the one place to write it; `usable`: a
    template sets it to a real value, and no comment has another for this place; `proposed` is what a comment says about
    it; `alike` a variable of nearly the same name that nothing documents.
    """
    facts: dict[str, Any] = env_value.call({"host": host, "place": place, "name": name, "service": service})
    given = _given(host, place, service)
    if facts["value"] is None and name in given and not secrecy.is_secret(name, given[name]):
        facts["value"] = given[name]
    facts["present"] = facts["present"] or name in given
    facts["empty"] = bool(facts["empty"]) or given.get(name) == ""
    facts["needed"] = not facts["present"] or facts["empty"]
    comment = _comment(host, place, service, name)
    here = _from_comment(comment, list(given.values()), defaults=False)
    ports = place.service(service).ports
    if name == "PORT" and len(ports) == 1:
        facts["proper"] = str(ports[0])  # the inventory knows this place, a template does not
    proper = facts["proper"]
    secret = secrecy.is_secret(name, proper or "")
    real = bool(proper) and not _PLACEHOLDER.search(str(proper))
    facts["usable"] = real and not secret and here in (None, proper)
    facts["file"] = _file(host, place, service)
    facts["proposed"] = None if secret else here or (proper if real else _from_comment(comment, []))
    known = [each for each in given if each != name]
    facts["alike"] = next(iter(difflib.get_close_matches(name, known, 1, _ALIKE)), None)
    documented = {key for key, _ in _documented(host, place, service)}
    facts["alike"] = None if facts["alike"] in documented else facts["alike"]
    return facts


@change(effect="change", repeatable=True)
def set_variable(
    host: Host, place: Place, service: str, name: str, value: str | None = None, secret: str | None = None
) -> Commands:
    """Give a service a variable, where its configuration keeps them: an environment file, a systemd unit, supervisord.

    `secret` names a secret of the inventory to fill in. Takes effect after reload_units and a restart of the service.
    """
    if (value is None) == (secret is None):
        raise BadArguments("set_variable: give either value or secret")
    file = _file(host, place, service)
    if file is None:
        raise NotAllowed(f"it is not clear in which file of {service} a variable is set")
    settings.require_editable(host, place, file)
    given = {"secret": secret} if secret else {"value": value}
    kind = _kind(host, file)
    if kind == "env":
        args, editor = {"key": name, **given}, "env"
    elif kind == "unit":
        args, editor = {"name": name, **given}, "unit_variable"
    else:
        program = (place.service(service).unit or service).rpartition(":")[2]
        args, editor = {"program": program, "name": name, **given}, "program_variable"
    planned = commands.planned_edit(host, place, file, editor, args)
    if planned:
        yield planned


@set_variable.already
def _is_set(host: Host, place: Place, service: str, name: str, value: str | None = None) -> bool:
    return value is not None and _given(host, place, service).get(name) == value


@set_variable.precondition
def _not_set_otherwise(host: Host, place: Place, service: str, name: str, value: str | None = None) -> None:
    if _given(host, place, service).get(name):
        raise NotAllowed(f"{name} is set already; a value that somebody gave is not replaced")
    if value is not None:
        secrecy.require_not_weaker(name, None, value)


def _kind(host: Host, file: str) -> str:
    """How a file keeps variables: env, unit, supervisord, or not at all."""
    text = settings.text_of(host, file)
    if re.search(r"^\[Service\]", text or "", re.M):
        return "unit"
    if re.search(r"^\[program:", text or "", re.M):
        return "supervisord"
    return "env" if edits.form_of(file, text or "") == "env" else ""


def _file(host: Host, place: Place, service: str) -> str | None:
    """The one file of a service that keeps its variables: an environment file before a unit."""
    files = [place.path(file) for file in place.service(service).config]
    kinds = {file: _kind(host, file) for file in files}
    for wanted in ("env", "unit", "supervisord"):
        found = [file for file, kind in kinds.items() if kind == wanted]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _given(host: Host, place: Place, service: str) -> dict[str, str]:
    """All variables that the service's configuration gives it."""
    found: dict[str, str] = {}
    for file in (place.path(each) for each in place.service(service).config):
        text = settings.text_of(host, file) or ""
        kind = _kind(host, file)
        if kind == "env":
            found |= {key: value for _, key, value in settings.entries(file, text)}
        elif kind == "unit":
            for line in re.findall(r"^\s*Environment\s*=(.*)$", text, re.M):
                found |= _assignments(line)
        elif kind == "supervisord":
            unit = (place.service(service).unit or service).rpartition(":")[2]
            own = edits.value("ini", text, f"program:{unit}.environment") or ""
            found |= _assignments(own.replace(",", " "))
    return found


def _assignments(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError:
        return {}
    return {key: value for key, equals, value in (word.partition("=") for word in words) if equals}


def _documented(host: Host, place: Place, service: str) -> list[tuple[str, str]]:
    found = []
    for file in (place.path(each) for each in place.service(service).templates):
        text = settings.text_of(host, file)
        found += [(key, value) for _, key, value in settings.entries(file, text)] if text else []
    return found


def _comment(host: Host, place: Place, service: str, name: str) -> str:
    """What the templates' comments say about a variable: those right above it, beside it, and that name it."""
    said: list[str] = []
    for file in place.service(service).templates:
        above: list[str] = []
        for line in (settings.text_of(host, place.path(file)) or "").splitlines():
            if re.match(rf"\s*(#\s*)?(export\s+)?{re.escape(name)}\s*[=:]", line):
                commented = re.match(rf"\s*#\s*(?:export\s+)?{re.escape(name)}\s*[=:]\s*(\S+)\s*$", line)
                said += [*above, f"default {commented[1]}" if commented else line.partition("#")[2]]
            above = [*above, line.lstrip().lstrip("#;").strip()] if line.lstrip().startswith(("#", ";")) else []
    return "; ".join(filter(None, said))


def _from_comment(comment: str, values: list[str], defaults: bool = True) -> str | None:
    """The value that a comment gives for this place (`zurich: CHF`, where a variable says zurich), or its default."""
    plain = {value.lower() for value in values if len(value) > 2} | {posixpath.basename(v).lower() for v in values if v}
    found = set()
    for part in re.split(r"[,;]|\bor\b", comment):
        pair = re.match(r"\s*(.*\S)\s*(?:[:=]|->|=>|\bis\b)\s*[\"']?([^\s\"'()]+)", part)
        if pair and plain & set(re.findall(r"[\w.-]+", pair[1].lower())):
            found.add(pair[2])
    if not found and defaults:
        found = set(re.findall(r"(?i)\b(?:default(?:s to)?|e\.g\.|usually)[: ]+[\"']?([^\s\"',;()]+)", comment))
    return found.pop().rstrip(".") if len(found) == 1 else None
