"""Filesystems: which volume a failed write means, what still holds its space, and making one writable again.

Sources: mount(8), proc(5), ext4(5), fstab(5).
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, Literal

from devops_agent.errors import CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.model import Run, Wait
from devops_agent.tools import processes, settings, supervisors
from devops_agent.tools.base import Commands, Host, change, probe
from devops_agent.tools.catalogue.disk import disk_usage
from devops_agent.tools.catalogue.volumes import cleanable

Shortage = Literal["space", "inodes", "write"]
FULL = 95.0
"""Percent from which a filesystem counts as full: some of the rest is kept for root."""
_TROUBLE = r"I/O error|XFS.{0,40}(?:[Cc]orruption|Shutdown)|BTRFS.{0,40}(?:error|forced readonly)|Aborting journal"
_MEBI = 1 << 20


@probe
def volume_of(
    host: Host, place: Place, path: str | None = None, service: str | None = None, short_of: Shortage = "space"
) -> dict[str, Any]:
    """The filesystem that a failed write is about: that of the path, else the volume that the service uses or the only
    one, if it is short of what is missing; all that `disk_usage` tells, what its cleanup rules would free, and more.

    `how` says what it was chosen by; `volume` is null where the inventory does not name it; `enough` says that
    cleaning would do; `declared`, `damaged`, `device_read_only` why a read-only one should stay so; `meant_elsewhere`
    is where the template of what is configured to use this filesystem would have it write instead.
    """
    chosen, how = _chosen(host, place, path, service, short_of)
    usage = _usage(host, place, chosen)
    name = usage["volume"]
    entry = place.inventory.volumes.get(name) if name else None
    top = host.resolve(place.path(entry.path)) if entry else ""
    facts = usage | {"how": how, "mounted": bool(top) and usage["mount"] == top}
    facts["missing_mount"] = bool(top) and usage["mount"] == "/" and _in_fstab(host, place, top) is not None
    facts["protected"] = place.is_protected(top) if top else place.is_protected(usage["mount"])
    facts["grow"] = bool(entry and entry.grow)
    facts["grow_to"] = max(int(usage["size_bytes"] * 1.5) // _MEBI, usage["size_bytes"] // _MEBI + 16)
    facts |= {"cleanup_count": 0, "cleanup_bytes": 0}
    if entry and entry.cleanup:
        seen = cleanable.call({"host": host, "place": place, "volume": name})
        facts |= {"cleanup_count": seen["count"], "cleanup_bytes": seen["bytes"]}
    facts["enough"] = _enough(facts)
    facts["meant_elsewhere"] = _meant_elsewhere(host, place, top) if top else None
    return facts | _why_read_only(host, place, usage["mount"])


@probe(needs=("find",))
def deleted_open(host: Host, place: Place, path: str, service: str | None = None) -> dict[str, Any]:
    """Deleted files of a path's filesystem that processes still hold open: their space is not free. Whose they are.

    `service` is the service of the inventory whose process holds most of it; `own` that it is the one asked about;
    `enough` that the filesystem would not be full without them.
    """
    usage = _usage(host, place, path)
    pattern = usage["mount"].rstrip("/") + "/* (deleted)"
    form = ("-printf", "%p\\t%l\\n")
    ended = host.attempt("find", "/proc", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*", "-lname", pattern, *form)
    held: dict[tuple[int, int], tuple[int, int, str]] = {}
    for line in ended.output.splitlines():
        link, _, target = line.partition("\t")
        found = host.stat(link)
        if found and found.kind == "file" and target:
            held[found.device, found.inode] = (found.size, int(link.split("/")[2]), target.removesuffix(" (deleted)"))
    total = sum(size for size, _, _ in held.values())
    facts: dict[str, Any] = {"mount": usage["mount"], "count": len(held), "bytes": total, "enough": False}
    facts |= {"pid": None, "command": None, "service": None, "own": False}
    facts["files"] = sorted(target for *_, target in held.values())
    if not held:
        return facts
    pid = max(held.values())[1]
    process = processes.look(host, pid)
    owner = _service_of(host, place, pid)
    least = usage["size_bytes"] * FULL / 100
    facts["enough"] = usage["used_bytes"] >= least and usage["used_bytes"] - total < least
    facts |= {"pid": pid, "command": process.command if process else None, "service": owner}
    return facts | {"own": owner is not None and owner == service}


@change(effect="change", repeatable=True)
def remount_writable(host: Host, place: Place, volume: str) -> Commands:
    """Mount a volume of the inventory read-write again; refused where it is protected, or read-only for a reason.

    Reasons are: its entry in fstab (the machine's, or one of the inventory's) says so, its device is read-only, or the
    kernel found errors on it (then it must be checked first).
    """
    yield Run(argv=("mount", "-o", "remount,rw", _top(host, place, volume)), timeout=60)
    args = {"path": _top(host, place, volume)}
    yield Wait(probe="disk_usage", args=args, expect=("result.read_only == false",), limit=5)


@remount_writable.already
def _is_writable(host: Host, place: Place, volume: str) -> bool:
    return not _usage(host, place, _top(host, place, volume))["read_only"]


@remount_writable.precondition
def _may_be_writable(host: Host, place: Place, volume: str) -> None:
    top = _top(host, place, volume)
    if place.is_protected(top):
        raise NotAllowed(f"volume {volume!r} is protected by the inventory; it stays read-only")
    if _usage(host, place, top)["mount"] != top:
        raise NotAllowed(f"volume {volume!r} is not mounted at {top}")
    if elsewhere := _meant_elsewhere(host, place, top):
        raise NotAllowed(f"what is to write to {top} should write to {elsewhere} by its template")
    why = _why_read_only(host, place, top)
    if why["declared"]:
        raise NotAllowed(f"{top} is to be read-only by its entry in fstab")
    if why["damaged"]:
        raise NotAllowed(f"the kernel found errors on {top}; it must be checked before it is written to")
    if why["device_read_only"]:
        raise NotAllowed(f"the device of {top} is read-only itself")


@remount_writable.undo
def _read_only_again(host: Host, place: Place, volume: str) -> Commands:
    yield Run(argv=("mount", "-o", "remount,ro", _top(host, place, volume)), timeout=60)


def _top(host: Host, place: Place, volume: str) -> str:
    if volume not in place.inventory.volumes:
        known = ", ".join(place.inventory.volumes) or "none"
        raise NotAllowed(f"volume: {volume!r} is not in the inventory (known: {known})")
    return host.resolve(place.path(place.inventory.volumes[volume].path))


def _chosen(host: Host, place: Place, path: str | None, service: str | None, short_of: Shortage) -> tuple[str, str]:
    """A path on the filesystem that is meant, and what it was chosen by."""
    named = host.resolve(_absolute(host, place, path, service)) if path else None
    if named and _short(_usage(host, place, named), short_of):
        return named, "path"
    tops = {name: _top(host, place, name) for name in place.inventory.volumes}
    short = [name for name, top in tops.items() if _short(_usage(host, place, top), short_of)]
    used = [name for name in short if service and _uses(host, place, service, tops[name])]
    for names, how in ((used, "service"), (short, "only")):
        if len(names) == 1:
            return tops[names[0]], how
    if named:
        return named, "path"
    if len(tops) == 1:
        return next(iter(tops.values())), "only"
    return place.workspace, "workspace"


def _absolute(host: Host, place: Place, path: str, service: str | None) -> str:
    if not path.startswith("/") and service:
        pid = supervisors.status(host, place, service)["pid"]
        folder = processes.folder_of(host, pid) if pid else ""
        if folder:
            return posixpath.normpath(posixpath.join(folder, path))
    return place.path(path)


def _short(usage: dict[str, Any], of: Shortage) -> bool:
    if of == "write":
        return bool(usage["read_only"])
    return max(usage["percent"] or 0, usage["inode_percent"] or 0) >= FULL


def _uses(host: Host, place: Place, service: str, top: str) -> bool:
    """Whether a service's process names or has open something below a folder, or its configuration names it."""
    seen = [*place.service(service).logs]
    pid = supervisors.status(host, place, service)["pid"]
    if pid:
        seen += [processes.folder_of(host, pid), *_texts(host, f"/proc/{pid}/environ", f"/proc/{pid}/cmdline")]
        ended = host.attempt("find", f"/proc/{pid}/fd", "-maxdepth", "1", "-printf", "%l\\n")
        seen += ended.output.splitlines()
    for file in place.service(service).config:
        seen += _texts(host, place.path(file))
    below = re.compile(rf"(?<![\w/.-]){re.escape(top)}(?![\w.-])")
    return any(below.search(place.path(one) if one in place.service(service).logs else one) for one in seen if one)


def _meant_elsewhere(host: Host, place: Place, top: str) -> str | None:
    """The path that a template gives a setting which the configuration points below this folder: another one."""
    for name in place.services_here():
        entry = place.service(name)
        held = {key: value for file in entry.config for key, value in _settings(host, place, file) if "/" in value}
        for file in entry.templates:
            for key, value in _settings(host, place, file):
                differs = key in held and held[key] != value and "/" in value
                if differs and _is_below(place, held[key], top) and not _is_below(place, value, top):
                    return value
    return None


def _settings(host: Host, place: Place, file: str) -> list[tuple[str, str]]:
    path = place.path(file)
    text = settings.text_of(host, path)
    return [(key, value) for _, key, value in settings.entries(path, text)] if text else []


def _is_below(place: Place, value: str, top: str) -> bool:
    path = place.path(re.sub(r"^[a-z+]+://", "", value))
    return path == top or path.startswith(f"{top}/")


def _texts(host: Host, *paths: str) -> list[str]:
    found = []
    for path in paths:
        try:
            found += re.split(r"[\0\n]", host.read(path, 1 << 18).decode("utf-8", "replace"))
        except CommandFailed:
            continue
    return [line.partition("=")[2] if re.match(r"\w+=", line) else line for line in found]


def _usage(host: Host, place: Place, path: str) -> dict[str, Any]:
    seen: dict[str, Any] = disk_usage.call({"host": host, "place": place, "path": path})
    tops = {name: _top(host, place, name) for name in place.inventory.volumes}
    below = [name for name, top in tops.items() if path == top or path.startswith(top.rstrip("/") + "/")]
    return seen | {"volume": max(below, key=lambda name: len(tops[name]), default=None)}


def _enough(facts: dict[str, Any]) -> bool:
    """Whether what may be deleted brings the filesystem below full, in bytes and in inodes."""
    if not facts["cleanup_count"]:
        return False
    held = facts["used_bytes"] + facts["free_bytes"] or 1
    left = 100 * (facts["used_bytes"] - facts["cleanup_bytes"]) / held
    inodes = facts["inodes"] or 0
    taken = 100 * (inodes - facts["inodes_free"] - facts["cleanup_count"]) / inodes if inodes else 0
    return bool(left < FULL and taken < FULL)


def _why_read_only(host: Host, place: Place, mount: str) -> dict[str, Any]:
    """Whether a filesystem is meant to be read-only, has errors, or lies on a device that is read-only."""
    options = _in_fstab(host, place, mount)
    device = _device(host, mount)
    name = posixpath.basename(host.resolve(device)) if device.startswith("/dev/") else ""
    counted = bool(name) and host.exists(f"/sys/fs/ext4/{name}")
    errors = _number(host, f"/sys/fs/ext4/{name}/errors_count") if counted else 0
    fixed = _number(host, f"/sys/class/block/{name}/ro") if name else 0
    return {
        "declared": options is not None and "ro" in options.split(","),
        "damaged": bool(errors) or _flagged(host, device) or bool(name and not counted and _in_kernel_log(host, name)),
        "device_read_only": bool(fixed),
    }


def _flagged(host: Host, device: str) -> bool:
    """Whether an ext2, ext3 or ext4 filesystem has it written in its superblock that errors were found on it."""
    if not device.startswith("/dev/"):
        return False
    shown = host.attempt("od", "-An", "-tx1", "-j1080", "-N4", "--", device, timeout=10).output.split()
    return shown[:2] == ["53", "ef"] and len(shown) == 4 and bool(int(shown[2], 16) & 2)


def _in_kernel_log(host: Host, device: str) -> bool:
    said = host.attempt("dmesg", timeout=10) if host.has("dmesg") else None
    lines = said.output.splitlines() if said and said.code == 0 else []
    return any(re.search(_TROUBLE, line) and re.search(rf"\b{re.escape(device)}\b", line) for line in lines)


def _in_fstab(host: Host, place: Place, mount: str) -> str | None:
    """The options of a mount point in `/etc/fstab`, else in a file of the inventory that has its form."""
    own = [
        place.path(file)
        for entry in place.inventory.services.values()
        for file in (*entry.config, *entry.templates)
        if "fstab" in posixpath.basename(file)
    ]
    for row in [row for file in ("/etc/fstab", *dict.fromkeys(own)) for row in _rows(host, file)]:
        if len(row) > 3 and not row[0].startswith("#") and row[1].rstrip("/") == mount.rstrip("/"):
            return row[3]
    return None


def _device(host: Host, mount: str) -> str:
    found = [row[0] for row in _rows(host, "/proc/mounts") if len(row) > 3 and row[1] == mount.replace(" ", "\\040")]
    return found[-1] if found else ""


def _rows(host: Host, path: str) -> list[list[str]]:
    try:
        return [line.split() for line in host.read(path).decode("utf-8", "replace").splitlines()]
    except CommandFailed:
        return []


def _number(host: Host, path: str) -> int:
    try:
        text = host.read(path, 64).decode("ascii", "replace").strip()
    except CommandFailed:
        return 0
    return int(text) if text.isdigit() else 0


def _service_of(host: Host, place: Place, pid: int) -> str | None:
    """The service of the inventory that a process is, or is a child of."""
    process = processes.look(host, pid)
    above = {pid, *(parent.pid for parent in processes.ancestors(host, process))} if process else {pid}
    for name in place.services_here():
        own = supervisors.status(host, place, name)["pid"]
        if own and own in above:
            return name
    return None
