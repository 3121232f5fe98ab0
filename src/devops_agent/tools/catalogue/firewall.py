"""Firewall rules: which of them stop a port of the inventory, and deleting exactly one of them, by its text.

Asked through iptables-save, which also shows what iptables-nft keeps. A rule that says why it is there (a comment),
that is for certain peers only, or that stands in a file of the inventory, is meant. Source: iptables(8),
iptables-save(8).
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.inventory import Place
from devops_agent.model import Run
from devops_agent.tools import settings
from devops_agent.tools.base import Commands, Host, change, probe

Port = Annotated[int, Field(ge=1, le=65535)]
_STOPS = re.compile(r" -j (DROP|REJECT)\b")
_NARROW = re.compile(r" (?:-s|--source|-d|--destination|-i|-o|-m (?:set|recent|limit|hashlimit|geoip|string|owner)) ")


@probe
def firewall_rules(host: Host, place: Place, service: str | None = None) -> dict[str, Any]:
    """The rules of the packet filter where a service runs, in order, and what its chains do with everything else."""
    text = _saved(host, place, service)
    policies = dict(re.findall(r"^:(\w+) (ACCEPT|DROP)", text, re.M))
    rules = [line for line in text.splitlines() if line.startswith("-A ")]
    return {"rules": rules[:500], "count": len(rules), "policies": policies}


@probe
def firewall_blocks(host: Host, place: Place, port: Port | None = None, service: str | None = None) -> dict[str, Any]:
    """Which rules stop a port of a service of the inventory, and whether they look meant.

    Without a port: the first of the service's ports that a rule stops, else its first.
    `rule` is the only such rule, None where there are more or none; `meant` says that it has a comment, is for certain
    peers only, or stands in a file that the inventory names.
    """
    service = place.service_on(port) if port else service
    ports = [port] if port else list(place.service(service).ports) if service else []
    if not ports:
        raise NotAllowed("firewall_blocks: give a port, or a service that has one")
    rules = firewall_rules.call({"host": host, "place": place, "service": service})["rules"]
    port = next((each for each in ports if any(_stops(rule, each) for rule in rules)), ports[0])
    stopping = [rule for rule in rules if _stops(rule, port)]
    meant = any(_meant(host, place, rule) for rule in stopping)
    one = stopping[0] if len(stopping) == 1 else None
    return {"port": port, "service": service, "count": len(stopping), "rule": one, "rules": stopping, "meant": meant}


@change(effect="destroy")
def delete_firewall_rule(place: Place, service: str, rule: str, *, position: int) -> Commands:  # noqa: ARG001
    """Delete one rule that stops a port of a service, by its exact text as iptables-save shows it; all others stay."""
    words = shlex.split(rule)
    yield Run(argv=(*_prefix(place, service), "iptables", "-w", "-D", *words[1:]), timeout=20)


@delete_firewall_rule.pin
def _position(host: Host, place: Place, service: str, rule: str) -> dict[str, Any]:
    """Its place in its chain, so that it can be put back there."""
    rules = firewall_rules.call({"host": host, "place": place, "service": service})["rules"]
    if rules.count(rule) != 1:
        raise StalePlan(f"the rule is there {rules.count(rule)} times, not once")
    chain = rule.split()[1]
    return {"position": [each for each in rules if each.split()[1] == chain].index(rule) + 1}


@delete_firewall_rule.already
def _is_gone(host: Host, place: Place, service: str, rule: str) -> bool:
    return rule not in firewall_rules.call({"host": host, "place": place, "service": service})["rules"]


@delete_firewall_rule.precondition
def _may_go(host: Host, place: Place, service: str, rule: str, *, position: int) -> None:
    if _position(host, place, service, rule)["position"] != position:
        raise StalePlan("the rules have changed since they were seen")
    if not any(_stops(rule, port) for port in place.service(service).ports):
        raise NotAllowed(f"the rule does not stop a port of service {service!r}")
    if _meant(host, place, rule):
        raise NotAllowed("the rule has a comment, is for certain peers, or is written down: it is meant")


@delete_firewall_rule.undo
def _back(place: Place, service: str, rule: str, position: int) -> Commands:
    chain, *words = shlex.split(rule)[1:]
    argv = (*_prefix(place, service), "iptables", "-w", "-I", chain, str(position), *words)
    yield Run(argv=argv, timeout=20)


def _prefix(place: Place, service: str | None) -> tuple[str, ...]:
    return place.service(service).control if service else ()


def _saved(host: Host, place: Place, service: str | None) -> str:
    ended = host.attempt(*_prefix(place, service), "iptables-save", "-t", "filter", timeout=20, cwd=place.workspace)
    if ended.code:
        raise CommandFailed(f"iptables-save: {ended.text[-300:]}", ended.code)
    return ended.output


def _stops(rule: str, port: int) -> bool:
    """Whether a rule drops or rejects what comes to this very port."""
    named = re.search(rf" --dports? (?:\S+,)?{port}(?:,\S+)? ", f"{rule} ")
    return bool(named and _STOPS.search(rule) and rule.split()[1] in ("INPUT", "OUTPUT", "FORWARD", "DOCKER-USER"))


def _meant(host: Host, place: Place, rule: str) -> bool:
    if "--comment" in rule or _NARROW.search(rule) or re.search(r" --dports? \S*[,:]", rule):
        return True
    for entry in place.inventory.services.values():
        for file in (*entry.config, *entry.templates):
            if rule in (settings.text_of(host, place.path(file)) or ""):
                return True
    return False
