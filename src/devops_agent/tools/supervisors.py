"""Services as their supervisors see them: one form of status for all, and the commands that start, restart, reload.

Sources: systemctl(1), sv(8), supervisorctl's documentation, docker inspect. The `control` prefix of the inventory
stands before the supervisor's own command only.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from devops_agent.errors import CommandFailed, NotAllowed, UnreadableOutput
from devops_agent.inventory import Place, Service
from devops_agent.model import Run
from devops_agent.tools import processes
from devops_agent.tools.base import Host
from devops_agent.tools.sockets import listeners

Status = dict[str, Any]
_SHOWN = (
    "LoadState,ActiveState,SubState,MainPID,NRestarts,UnitFileState,Result,ExecMainStatus,NeedDaemonReload,FragmentPath"
)
_TIMES = "ExecMainStartTimestampMonotonic,StateChangeTimestampMonotonic"


def status(host: Host, place: Place, name: str) -> Status:
    """`{state, pid, since, seconds, restarts, enabled, detail, supervisor}`.

    `state` is running, starting, stopped, failed, missing or unknown; `since` (seconds since 1970) and `seconds` say
    how long it has been running, None where it is not. `given_up`: its supervisor will not start it again by itself.
    `ended` changes each time it ends, where that can be told.
    """
    service = place.service(name)
    ask = {
        "systemd": _systemd,
        "runit": _runit,
        "supervisord": _supervisord,
        "docker": _docker,
        "command": _command,
        None: _command,
    }[service.supervisor]
    found: Status = {"service": name, "state": "unknown", "pid": None, "since": None, "seconds": None, "restarts": None}
    found |= {"enabled": None, "detail": "", "supervisor": service.supervisor or "command", "reload_needed": False}
    found |= {"given_up": False, "ended": None}
    found |= ask(host, place, name, service)
    process = processes.look(host, found["pid"]) if found["pid"] and found["seconds"] is not None else None
    if process and abs(processes.age(host, process) - found["seconds"]) <= 2:
        found |= _running_for(host, processes.age(host, process))  # the supervisor counts in whole seconds
    return found


def commands(place: Place, name: str, verb: str) -> Iterator[Run]:
    """What starts, restarts or reloads a service. Its configuration is tested first where the inventory says how."""
    service = place.service(name)
    if service.test:
        yield Run(argv=service.test, cwd=place.workspace, user=None, timeout=30)
    if service.supervisor == "systemd":
        if verb != "reload":
            yield control(place, service, "systemctl", "daemon-reload")
        yield control(place, service, "systemctl", verb, _unit(service, name), timeout=90)
    elif service.supervisor == "runit":
        word = {"start": "up", "restart": "restart", "reload": "hup"}[verb]
        yield control(place, service, "sv", "-w", "15", word, folder(place, service, name))
    elif service.supervisor == "supervisord":
        if verb == "reload":
            yield supervisorctl(place, service, "signal", "HUP", service.unit or name)
        else:
            yield supervisorctl(place, service, verb, service.unit or name)
    elif service.supervisor == "docker":
        argv = ("docker", "kill", "--signal", "HUP") if verb == "reload" else ("docker", verb)
        yield control(place, service, *argv, service.unit or name, timeout=90)
    elif service.run and verb != "reload":
        yield Run(argv=service.run, cwd=place.workspace, detach=True, timeout=30)
    else:
        raise NotAllowed(f"service {name}: the inventory does not say how to {verb} it")


def control(place: Place, service: Service, *argv: str, timeout: float = 60) -> Run:
    """A command of the service's supervisor, behind the `control` prefix."""
    return Run(argv=(*service.control, *argv), cwd=place.workspace, timeout=timeout)


def supervisorctl(place: Place, service: Service, *argv: str) -> Run:
    """A command of supervisorctl, with the configuration that the inventory names."""
    file = service.files.get("supervisord")
    return control(place, service, "supervisorctl", *(("-c", place.path(file)) if file else ()), *argv)


def folder(place: Place, service: Service, name: str) -> str:
    """The service directory that `sv` takes: a path of the place, or a bare name of the machine's own."""
    unit = service.unit or name
    return place.path(unit) if "/" in unit else unit


def _unit(service: Service, name: str) -> str:
    unit = service.unit or name
    return unit if "." in unit else f"{unit}.service"


def _ask(host: Host, place: Place, service: Service, *argv: str) -> Any:
    return host.attempt(*service.control, *argv, timeout=20, cwd=place.workspace)


def _systemd(host: Host, place: Place, name: str, service: Service) -> Status:
    unit = _unit(service, name)
    ended = _ask(host, place, service, "systemctl", "show", unit, "--no-pager", f"--property={_SHOWN},{_TIMES}")
    shown = dict(line.split("=", 1) for line in ended.output.splitlines() if "=" in line)
    if "ActiveState" not in shown:
        raise UnreadableOutput(f"systemctl show {unit}: {ended.text[:300]}")
    state = {"active": "running", "activating": "starting", "reloading": "running", "failed": "failed"}
    named = state.get(shown["ActiveState"], "stopped")
    if named == "starting" and shown.get("SubState") == "auto-restart":
        named = "failed"
    if shown.get("LoadState") == "not-found":
        named = "missing"
    found: Status = {
        "state": named,
        "pid": int(shown.get("MainPID") or 0) or None,
        "restarts": int(shown.get("NRestarts") or 0) if shown.get("NRestarts", "").isdigit() else None,
        "enabled": shown.get("UnitFileState", "").startswith("enabled") if shown.get("UnitFileState") else None,
        "detail": ", ".join(filter(None, (shown.get("SubState"), shown.get("Result"), shown.get("ExecMainStatus")))),
        "reload_needed": shown.get("NeedDaemonReload") == "yes",
        "given_up": shown["ActiveState"] == "failed",
        "ended": shown.get("NRestarts"),
    }
    began = shown.get("ExecMainStartTimestampMonotonic", "0")
    if named == "running" and began.isdigit() and int(began):
        found |= _running_for(host, max(_uptime(host) - int(began) / 1e6, 0.0))
    return found


def _runit(host: Host, place: Place, name: str, service: Service) -> Status:
    ended = _ask(host, place, service, "sv", "status", folder(place, service, name))
    line = ended.text.split("; run: log", 1)[0].strip()
    found = re.match(r"(run|down|finish): .*?: (?:\(pid (\d+)\) )?(\d+)s(.*)", line)
    if not found:
        missing = "unable to change to service directory" in line or "file does not exist" in line
        return {"state": "missing" if missing else "unknown", "detail": line[:300]}
    word, pid, seconds, rest = found.groups()
    state = {"run": "running", "finish": "failed"}.get(word, "stopped")
    if word == "down" and "want up" in rest:
        state = "failed"
    status_: Status = {"state": state, "pid": int(pid) if pid else None, "detail": line[:300]}
    status_["enabled"] = "normally down" not in rest if pid else "normally up" in rest  # sv tells only what differs
    if state == "failed":
        status_["ended"] = _last_change(host, folder(place, service, name))
    return status_ | (_running_for(host, float(seconds)) if word == "run" else {})


def _last_change(host: Host, directory: str) -> str | None:
    """The moment of a runit service's last change of state, to the nanosecond (a TAI64N label, in hex)."""
    base = directory if directory.startswith("/") else f"/etc/service/{directory}"
    try:
        return host.read(f"{base}/supervise/status", 12).hex() or None
    except CommandFailed:
        return None


def _supervisord(host: Host, place: Place, name: str, service: Service) -> Status:
    program = service.unit or name
    run = supervisorctl(place, service, "status", program)
    ended = host.attempt(*run.argv, timeout=20, cwd=place.workspace)
    found = re.search(rf"^(?:\S+:)?{re.escape(program)}\S*\s+([A-Z]+)\s*(.*)$", ended.output, re.M)
    missing = "no such process" in ended.text.lower() or "no such group" in ended.text.lower()
    if missing or not found:
        return {"state": "missing" if missing else "unknown", "detail": ended.text[:300]}
    word, rest = found.groups()
    states = {"RUNNING": "running", "STARTING": "starting", "STOPPED": "stopped", "EXITED": "stopped"}
    status_: Status = {"state": states.get(word, "failed"), "detail": f"{word} {rest}".strip()}
    status_["given_up"] = word == "FATAL"
    if pid := re.search(r"pid (\d+)", rest):
        status_["pid"] = int(pid[1])
    if uptime := re.search(r"uptime (?:(\d+) days?, )?(\d+):(\d+):(\d+)", rest):
        days, hours, minutes, seconds = (int(part or 0) for part in uptime.groups())
        status_ |= _running_for(host, float(((days * 24 + hours) * 60 + minutes) * 60 + seconds))
    return status_


def _docker(host: Host, place: Place, name: str, service: Service) -> Status:
    ended = _ask(host, place, service, "docker", "inspect", "--type", "container", service.unit or name)
    if ended.code:
        if "no such" in ended.text.lower():
            return {"state": "missing", "detail": ended.text[:300]}
        raise CommandFailed(f"docker inspect: {ended.text[:300]}", ended.code)
    try:
        shown = json.loads(ended.output)[0]
        state = shown["State"]
    except (ValueError, LookupError, TypeError):
        raise UnreadableOutput(f"docker inspect {service.unit or name}: {ended.output[:200]}") from None
    word = str(state.get("Status", "unknown"))
    failed = word in ("exited", "dead") and state.get("ExitCode")
    states = {"running": "running", "created": "stopped", "exited": "stopped", "restarting": "failed", "dead": "failed"}
    status_: Status = {"state": "failed" if failed else states.get(word, word), "pid": state.get("Pid") or None}
    status_["restarts"] = shown.get("RestartCount")
    status_["detail"] = f"{word}, exit {state.get('ExitCode')}" + (", OOMKilled" if state.get("OOMKilled") else "")
    policy = (shown.get("HostConfig") or {}).get("RestartPolicy") or {}
    status_["enabled"] = policy.get("Name") in ("always", "unless-stopped")
    status_["ended"] = str(shown.get("RestartCount"))
    status_["given_up"] = word in ("exited", "dead") and policy.get("Name") in (None, "", "no")
    started = re.sub(r"\.\d+", "", str(state.get("StartedAt", ""))).replace("Z", "+00:00")
    if state.get("Running") and started:
        since = datetime.fromisoformat(started).timestamp()
        status_ |= {"since": since, "seconds": max(_now(host) - since, 0.0)}
    return status_


def _command(host: Host, _place: Place, _name: str, service: Service) -> Status:
    """Without a supervisor the only sign is who listens on its ports."""
    for port in service.ports:
        for listener in listeners(host, port):
            process = processes.look(host, listener.pid) if listener.pid else None
            if process is None:
                return {"state": "running", "detail": f"something listens on port {port}"}
            found: Status = {"state": "running", "pid": process.pid, "detail": process.command[:200]}
            return found | _running_for(host, processes.age(host, process))
    detail = "nothing listens on its ports" if service.ports else "the inventory names neither supervisor nor ports"
    return {"state": "stopped" if service.ports else "unknown", "detail": detail}


def _running_for(host: Host, seconds: float) -> Status:
    return {"since": _now(host) - seconds, "seconds": seconds}


def _uptime(host: Host) -> float:
    return float(host.read("/proc/uptime", 64).split()[0])


def _now(host: Host) -> float:
    """The host's own clock, in seconds since 1970."""
    if host.local:
        return time.time()
    ended = host.attempt("date", "+%s", timeout=20)
    if ended.code == 0 and ended.output.strip().isdigit():
        return float(ended.output)
    boot = re.search(rb"^btime (\d+)", host.read("/proc/stat"), re.M)
    return (float(boot[1]) if boot else 0.0) + _uptime(host)
