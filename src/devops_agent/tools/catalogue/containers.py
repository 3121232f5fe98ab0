"""Containers and Kubernetes objects: looking at them, recreating a container, restarting and undoing a rollout."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed, UnreadableOutput
from devops_agent.inventory import Place
from devops_agent.model import Run, Wait
from devops_agent.tools import secrecy, supervisors
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.catalogue import leftovers

Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.:/-]*$", max_length=253)]


@probe(needs=("docker",))
def containers(host: Host) -> dict[str, Any]:
    """All containers, also those that ended: name, image, state, status."""
    ended = host.attempt("docker", "ps", "--all", "--no-trunc", "--format", "{{json .}}", timeout=20)
    if ended.code:
        return {"reachable": False, "error": ended.text[-300:], "containers": []}
    rows = [json.loads(line) for line in ended.output.splitlines() if line.startswith("{")]
    kept = [
        {"name": row["Names"], "image": row["Image"], "state": row["State"], "status": row["Status"]} for row in rows
    ]
    return {"reachable": True, "error": "", "containers": kept}


@probe(needs=("docker",))
def container_inspect(host: Host, container: Name) -> dict[str, Any]:
    """A container: state, exit code, whether memory ran out, restarts, limits, ports, mounts, its variables' names."""
    ended = host.attempt("docker", "inspect", "--type", "container", "--", container, timeout=20)
    if ended.code:
        return {"container": container, "exists": False, "error": ended.text[-300:]}
    try:
        shown = json.loads(ended.output)[0]
    except (ValueError, LookupError):
        raise UnreadableOutput(f"docker inspect: {ended.output[:200]}") from None
    state, limits, config = (shown.get(part) or {} for part in ("State", "HostConfig", "Config"))
    variables = [str(entry).partition("=")[0] for entry in config.get("Env") or ()]
    return {
        "container": container,
        "exists": True,
        "image": config.get("Image"),
        "state": state.get("Status"),
        "exit_code": state.get("ExitCode"),
        "oom_killed": bool(state.get("OOMKilled")),
        "error": state.get("Error", ""),
        "restarts": shown.get("RestartCount"),
        "memory_bytes": limits.get("Memory") or None,
        "pids_limit": limits.get("PidsLimit"),
        "network": limits.get("NetworkMode"),
        "ports": sorted((shown.get("NetworkSettings") or {}).get("Ports") or {}),
        "mounts": [{"from": each.get("Source"), "to": each.get("Destination")} for each in shown.get("Mounts") or ()],
        "variables": variables,
        "command": secrecy.masked(" ".join([*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())])),
        "health": (state.get("Health") or {}).get("Status"),
    }


@change(effect="destroy", needs=("docker",))
def recreate_container(place: Place, service: str) -> Commands:
    """Remove a service's container that has ended, and start it anew as the inventory says; volumes are kept."""
    entry = place.service(service)
    yield supervisors.control(place, entry, "docker", "rm", "--", entry.unit or service)
    yield Run(argv=entry.run, cwd=place.workspace, timeout=120)
    yield Wait(probe="service_settles", args={"service": service}, expect=("result.stays == true",), limit=0)


@recreate_container.precondition
def _has_ended(host: Host, place: Place, service: str) -> None:
    entry = place.service(service)
    if entry.supervisor != "docker" or not entry.run:
        raise NotAllowed(f"service {service}: the inventory does not say how its container is started anew")
    _require_ended(host, place, service)


def _require_ended(host: Host, place: Place, service: str) -> None:
    if place.service(service).supervisor != "docker":
        raise NotAllowed(f"service {service}: the inventory names no container of it")
    status = supervisors.status(host, place, service)
    if status["state"] not in ("stopped", "failed"):
        raise NotAllowed(f"the container of {service} is {status['state']}; only one that has ended is removed")
    if changed := leftovers.changes(host, place, service):
        raise NotAllowed(
            f"files in the container of {service} are in no volume and would be lost: {', '.join(changed[:5])}"
        )


@change(effect="destroy", needs=("docker",))
def remove_container(place: Place, service: str) -> Commands:
    """Remove a service's container that has ended, so that its name is free; nothing is started, volumes are kept."""
    entry = place.service(service)
    yield supervisors.control(place, entry, "docker", "rm", "--", entry.unit or service)


@remove_container.already
def _is_gone(host: Host, place: Place, service: str) -> bool:
    return bool(supervisors.status(host, place, service)["state"] == "missing")


@remove_container.precondition
def _may_go(host: Host, place: Place, service: str) -> None:
    _require_ended(host, place, service)


@probe(needs=("kubectl",))
def kubectl_get(host: Host, kind: Name, name: Name, namespace: Name = "default") -> dict[str, Any]:
    """One Kubernetes object as it is; contents of secrets are left out."""
    ended = host.attempt(*_kubectl(namespace), "get", kind, name, "-o", "json", timeout=30)
    if ended.code:
        return {"exists": False, "error": ended.errors.strip()[-300:], "object": None}
    shown = json.loads(ended.output)
    for each in shown.get("items") or [shown]:  # by what it is: `secrets.v1.` is a kind too
        if str(each.get("kind")).lower() == "secret" or re.match(r"secrets?\b", kind, re.I):
            each.update({part: dict.fromkeys(each[part], "***") for part in ("data", "stringData") if each.get(part)})
            each.get("metadata", {}).get("annotations", {}).clear()
    shown.get("metadata", {}).pop("managedFields", None)
    return {"exists": True, "error": "", "object": shown}


@probe(needs=("kubectl",))
def kubectl_events(host: Host, name: Name, namespace: Name = "default") -> dict[str, Any]:
    """Events about one Kubernetes object, latest last."""
    selected = f"--field-selector=involvedObject.name={name}"
    output = host.run(
        *_kubectl(namespace), "get", "events", selected, "--sort-by=.lastTimestamp", "-o", "json", timeout=30
    )
    rows = json.loads(output).get("items", [])[-50:]
    kept = [{"type": row.get("type"), "reason": row.get("reason"), "message": row.get("message")} for row in rows]
    return {"events": kept, "warnings": [row["reason"] for row in kept if row["type"] == "Warning"]}


@probe(needs=("kubectl",))
def kubectl_logs(
    host: Host, pod: Name, namespace: Name = "default", container: Name | None = None, previous: bool = False
) -> dict[str, Any]:
    """The last 200 lines of a pod's log; `previous` is that of the container before its restart."""
    more = (*(("-c", container) if container else ()), *(("--previous",) if previous else ()))
    ended = host.attempt(*_kubectl(namespace), "logs", pod, "--tail=200", *more, timeout=30)
    if ended.code:
        raise CommandFailed(f"kubectl logs {pod}: {ended.errors.strip()[-300:]}", ended.code)
    return {"pod": pod, "text": ended.output}


@change(effect="change", needs=("kubectl",))
def rollout_restart(workload: Name, namespace: Name = "default") -> Commands:
    """Restart the pods of a workload (`deployment/web`) one after the other, and wait until they are up."""
    yield Run(argv=(*_kubectl(namespace), "rollout", "restart", workload), timeout=30)
    yield Run(argv=(*_kubectl(namespace), "rollout", "status", workload, "--timeout=120s"), timeout=130)


@change(effect="change", needs=("kubectl",))
def rollout_undo(workload: Name, namespace: Name = "default") -> Commands:
    """Take the last rollout of a workload (`deployment/web`) back, and wait until its pods are up."""
    yield Run(argv=(*_kubectl(namespace), "rollout", "undo", workload), timeout=30)
    yield Run(argv=(*_kubectl(namespace), "rollout", "status", workload, "--timeout=120s"), timeout=130)


def _kubectl(namespace: str) -> tuple[str, ...]:
    return ("kubectl", "--request-timeout=20s", "-n", namespace)
