"""Kubernetes workloads: describing one, scaling it, raising the limits of its containers. Never off, never lower.

Source: kubectl's documentation of describe, scale and set resources; the quantities of the Kubernetes API.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import Field

from devops_agent.errors import CommandFailed, NotAllowed, StalePlan
from devops_agent.model import Run
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.secrecy import masked

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9./-]{0,250}[A-Za-z0-9])?$")]
Workload = Annotated[
    str, Field(pattern=r"^(deployment|statefulset|daemonset|deploy|sts|ds)(\.apps)?/[a-z0-9][a-z0-9.-]*$")
]
Megabytes = Annotated[int, Field(ge=16, le=1 << 20)]
Millicores = Annotated[int, Field(ge=10, le=256_000)]
_UNITS = {
    "": 1,
    "k": 1000,
    "M": 1000**2,
    "G": 1000**3,
    "T": 1000**4,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
}


@probe(needs=("kubectl",))
def kubectl_describe(host: Host, kind: Name, name: Name, namespace: Name = "default") -> dict[str, Any]:
    """What kubectl tells a person about an object, with its events; values that look secret are left out."""
    if re.fullmatch(r"secrets?(\..*)?", kind, re.I):
        raise NotAllowed("kind: secrets are not described")
    ended = host.attempt(*_kubectl(namespace), "describe", kind, name, timeout=30)
    return {"exists": ended.code == 0, "text": masked(ended.text[:16_000])}


@probe(needs=("kubectl",))
def workload(host: Host, workload: Workload, namespace: Name = "default") -> dict[str, Any]:
    """A workload: how many pods it wants and has; what each container may use (memory in bytes, CPU in millicores)."""
    shown = _shown(host, workload, namespace)
    spec, status = shown.get("spec") or {}, shown.get("status") or {}
    pods = ((spec.get("template") or {}).get("spec") or {}).get("containers") or []
    containers = {each["name"]: (each.get("resources") or {}).get("limits") or {} for each in pods}
    limits = {
        name: {"memory": _bytes(held.get("memory")), "cpu": _millicores(held.get("cpu"))}
        for name, held in containers.items()
    }
    return {
        "workload": workload,
        "wanted": spec.get("replicas"),
        "ready": status.get("readyReplicas", status.get("numberReady", 0)),
        "limits": limits,
        "paused": bool(spec.get("paused")),
    }


@change(effect="change", repeatable=True, needs=("kubectl",))
def scale_workload(
    workload: Workload, replicas: Annotated[int, Field(ge=1, le=500)], namespace: Name = "default", *, before: int
) -> Commands:
    """Let a workload have so many pods, and wait until they are up. It is never scaled to none."""
    argv = ("scale", workload, f"--replicas={replicas}", f"--current-replicas={before}")
    yield Run(argv=(*_kubectl(namespace), *argv), timeout=30)
    yield Run(argv=(*_kubectl(namespace), "rollout", "status", workload, "--timeout=120s"), timeout=130)


@scale_workload.pin
def _replicas(host: Host, workload: str, namespace: str = "default") -> dict[str, Any]:
    wanted = _shown(host, workload, namespace).get("spec", {}).get("replicas")
    if not isinstance(wanted, int):
        raise NotAllowed(f"{workload} has no number of replicas")
    if wanted == 0:
        raise NotAllowed(
            f"{workload} is scaled to none: somebody switched it off, and a person must say whether it is to run"
        )
    return {"before": wanted}


@scale_workload.already
def _scaled(host: Host, workload: str, replicas: int, namespace: str = "default") -> bool:
    return bool(_shown(host, workload, namespace).get("spec", {}).get("replicas") == replicas)


@scale_workload.undo
def _scaled_back(workload: str, before: int, namespace: str = "default") -> Commands:
    yield Run(argv=(*_kubectl(namespace), "scale", workload, f"--replicas={before}"), timeout=30)


@change(effect="change", repeatable=True, needs=("kubectl",))
def raise_limits(
    workload: Workload,
    container: Name,
    memory_megabytes: Megabytes | None = None,
    cpu_millicores: Millicores | None = None,
    namespace: Name = "default",
    *,
    before: dict[str, str],  # noqa: ARG001 - for the guards
) -> Commands:
    """Raise the memory or CPU limit of a workload's container, and wait until its pods are up; never lowers one."""
    wanted = _wanted(memory_megabytes, cpu_millicores)
    argv = ("set", "resources", workload, f"--containers={container}", f"--limits={wanted}")
    yield Run(argv=(*_kubectl(namespace), *argv), timeout=30)
    yield Run(argv=(*_kubectl(namespace), "rollout", "status", workload, "--timeout=120s"), timeout=130)


@raise_limits.pin
def _limits(host: Host, workload: str, container: str, namespace: str = "default") -> dict[str, Any]:
    return {"before": _held(host, workload, container, namespace)}


@raise_limits.precondition
def _higher(
    host: Host,
    workload: str,
    container: str,
    memory_megabytes: int | None = None,
    cpu_millicores: int | None = None,
    namespace: str = "default",
    *,
    before: dict[str, str],
) -> None:
    held = _held(host, workload, container, namespace)
    if held != before:
        raise StalePlan(f"the limits of {workload} have changed since they were seen")
    for name, now, new in (
        ("memory", _bytes(held.get("memory")), memory_megabytes and memory_megabytes << 20),
        ("cpu", _millicores(held.get("cpu")), cpu_millicores),
    ):
        if new and (now is None or new <= now):
            raise NotAllowed(f"{name}: a limit is only raised (now {held.get(name) or 'none'})")


@raise_limits.undo
def _lowered(workload: str, container: str, before: dict[str, str], namespace: str = "default") -> Commands:
    wanted = ",".join(f"{name}={value}" for name, value in sorted(before.items()) if name in ("memory", "cpu"))
    argv = ("set", "resources", workload, f"--containers={container}", f"--limits={wanted}")
    yield Run(argv=(*_kubectl(namespace), *argv), timeout=30)


def _wanted(memory: int | None, cpu: int | None) -> str:
    parts = [f"memory={memory}Mi"] if memory else []
    parts += [f"cpu={cpu}m"] if cpu else []
    if not parts:
        raise NotAllowed("raise_limits: give memory_megabytes or cpu_millicores")
    return ",".join(parts)


def _held(host: Host, workload: str, container: str, namespace: str) -> dict[str, str]:
    pods = _shown(host, workload, namespace).get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    found = [each for each in pods if each.get("name") == container]
    if not found:
        named = ", ".join(each.get("name", "") for each in pods)
        raise NotAllowed(f"container: {workload} has no {container!r} (it has: {named})")
    return {name: str(value) for name, value in ((found[0].get("resources") or {}).get("limits") or {}).items()}


def _shown(host: Host, workload: str, namespace: str) -> dict[str, Any]:
    ended = host.attempt(*_kubectl(namespace), "get", workload, "-o", "json", timeout=30)
    if ended.code:
        raise CommandFailed(f"kubectl get {workload}: {ended.errors.strip()[-300:]}", ended.code)
    shown: dict[str, Any] = json.loads(ended.output)
    return shown


def _bytes(quantity: Any) -> int | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]i?|Ki)?", str(quantity or ""))
    return int(float(found[1]) * _UNITS[found[2] or ""]) if found else None


def _millicores(quantity: Any) -> int | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", str(quantity or ""))
    return int(float(found[1]) * (1 if found[2] else 1000)) if found else None


def _kubectl(namespace: str) -> tuple[str, ...]:
    return ("kubectl", "--request-timeout=20s", "-n", namespace)
