"""Configuration as a whole: does it parse, does its program accept it, what does it lack compared with its template."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from typing import Any

import yaml

from devops_agent.errors import NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import edits, secrecy, settings
from devops_agent.tools.base import Host, probe

_TESTS = {
    "nginx": ("nginx", "-t", "-q", "-c"),
    "sshd": ("sshd", "-t", "-f"),
    "haproxy": ("haproxy", "-c", "-q", "-f"),
    "named": ("named-checkconf",),
    "prometheus": ("promtool", "check", "config"),
    "apache": ("apachectl", "-t", "-f"),
    "shell": ("sh", "-n"),
    "systemd": ("systemd-analyze", "verify"),
}


@probe
def config_test(
    host: Host, place: Place, service: str | None = None, file: str | None = None, kind: str | None = None
) -> dict[str, Any]:
    """Whether a configuration is good: the service's own test of the inventory, a program's (`kind`), or a parser's.

    `kind` is one of yaml, json, toml, ini, nginx, sshd, haproxy, named, prometheus, apache, shell, systemd; without
    it, by the file's name. `line` says where it is wrong.
    """
    if service and not file:
        test = place.service(service).test
        if not test:
            raise NotAllowed(f"the inventory does not say how the configuration of {service} is tested")
        ended = host.attempt(*test, timeout=30, cwd=place.workspace)
        return {
            "valid": ended.code == 0,
            "error": "" if ended.code == 0 else ended.text[-2000:],
            "line": _line(ended.text),
        }
    if not file:
        raise NotAllowed("config_test: give service or file")
    path = secrecy.require_readable(host, place, file)
    if kind in _TESTS:
        if kind not in ("shell", "systemd") and not (place.service_with(file) or path.startswith("/etc/")):
            raise NotAllowed(f"{file} is no configuration of the inventory, and {kind} would load what it names")
        ended = host.attempt(*_TESTS[kind], path, timeout=30, cwd=place.workspace)
        return {
            "valid": ended.code == 0,
            "error": "" if ended.code == 0 else ended.text[-2000:],
            "line": _line(ended.text),
        }
    text = host.read(path).decode("utf-8", "replace")
    error, line = _parse(kind or edits.form_of(path, text), text)
    return {"valid": error is None, "error": error or "", "line": line}


@probe
def env_against_template(host: Host, place: Place, service: str) -> dict[str, Any]:
    """Which variables a service's template names that its configuration lacks, and which of them are empty there."""
    entry = place.service(service)
    if not entry.templates:
        raise NotAllowed(f"the inventory names no template for {service}")
    have: dict[str, str] = {}
    for path in entry.config:
        have |= _settings(host, place, path)
    wanted: dict[str, str] = {}
    for path in entry.templates:
        wanted |= _settings(host, place, path)
    missing = [name for name in wanted if name not in have]
    empty = [name for name, value in wanted.items() if value and have.get(name) == ""]
    extra = [name for name in have if name not in wanted]
    return {
        "service": service,
        "missing": missing,
        "empty": empty,
        "extra": extra,
        "complete": not missing and not empty,
    }


@probe
def compare_secret(host: Host, place: Place, file: str, key: str, secret: str) -> dict[str, Any]:
    """Whether a setting is equal to a secret of the inventory. Neither value is told."""
    from devops_agent.tools.commands import secret as value_of

    text = settings.text_of(host, place.path(file))
    named = {place.path(path) for service in place.inventory.services.values() for path in service.config}
    if place.path(file) not in named:
        raise NotAllowed(f"{file} is not a configuration file of the inventory")
    held = edits.value(edits.form_of(file, text or ""), text or "", key)
    return {"present": held is not None, "equal": held is not None and held == value_of(host, place, secret)}


def _settings(host: Host, place: Place, path: str) -> dict[str, str]:
    full = place.path(path)
    text = settings.text_of(host, full)
    return {key: value for _, key, value in settings.entries(full, text)} if text is not None else {}


def _parse(form: str, text: str) -> tuple[str | None, int | None]:
    try:
        if form == "yaml":
            for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                pass
        elif form == "json":
            json.loads(text)
        elif form == "toml":
            tomllib.loads(text)
        elif form == "ini":
            broken = re.search(r"^\s*\[[^\]\n]*$", text, re.M)
            if broken:
                return "a section's head is not closed", text.count("\n", 0, broken.end()) + 1
            configparser.RawConfigParser(strict=False, allow_no_value=True).read_string(text)
        else:
            raise NotAllowed(f"config_test: no parser for this kind of file ({form}); give kind")
    except yaml.MarkedYAMLError as error:
        return str(error.problem), error.problem_mark.line + 1 if error.problem_mark else None
    except json.JSONDecodeError as error:
        return error.msg, error.lineno
    except (tomllib.TOMLDecodeError, yaml.YAMLError, configparser.Error) as error:
        return str(error)[:500], _line(str(error))
    return None, None


def _line(text: str) -> int | None:
    found = re.search(r"\bline[: ]+(\d+)|:(\d+)(?::|$|\s)", text)
    return int(found[1] or found[2]) if found else None
