"""A scripted model that answers as a competent one would: it reads the real request, looks, and concludes from that.

    python tests/llm/competent.py [--mode MODE] [--requests FILE] -- devops-agent handle {log} --inventory {inventory} …

starts the model server on loopback, runs the command with it configured, and ends with the command's exit status. It
knows only what a request says: a function that is not offered it looks for with `find_tools` first, and a change that
is not listed too. MODE: `competent`, or how a model fails: `garbage`, `nonsense`, `slow`, `rate`, `dead`, `broken`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llm.scripted import Asked, Reply, nobody, serving

Call = tuple[str, dict[str, Any]]
Check = tuple[str, dict[str, Any], list[str]]


@dataclass(frozen=True)
class Rule:
    """What one knows about one kind of failure.

    `$name` is a group of the pattern or a word of the place, `$probe.field` what a look showed. `cite` are fields that
    decide; `words` is what one would search the tools for.
    """

    when: str
    cause: str
    summary: str
    looks: tuple[Call, ...] = ()
    cite: tuple[str, ...] = ()
    steps: tuple[Call, ...] = ()
    checks: tuple[Check, ...] = ()
    words: str = ""


_START = ("start_service", {"service": "$service"})
_RESTART = ("restart_service", {"service": "$service"})

RULES = (
    Rule(
        r"Could not get lock (?P<path>\S+?)\. It is held by process (?P<pid>\d+)",
        "file_locked",
        "A hung package manager holds the lock.",
        (("file_lock", {"path": "$path"}),),
        ("file_lock.state",),
        (("end_process", {"pid": "$file_lock.pid"}),),
        (("file_lock", {"path": "$path"}, ['result.state != "stopped"']),),
        "who holds the lock on a file",
    ),
    Rule(
        r"certificate has expired",
        "certificate_expired",
        "The certificate is past its end.",
        (("certificate_state", {}),),
        ("certificate_state.file_valid",),
        (
            ("renew_certificate", {"certificate": "$certificate_state.name"}),
            ("reload_service", {"service": "$certificate_state.service"}),
        ),
        (("certificate_state", {"certificate": "$certificate_state.name"}, ["result.served_valid == true"]),),
        "certificate state",
    ),
    Rule(
        r"No space left on device",
        "disk_full",
        "The volume has no space, or no inodes, left.",
        (("volume_of", {"service": "$service"}),),
        ("volume_of.percent", "volume_of.inode_percent"),
        (("clean_volume", {"volume": "$volume_of.volume"}),),
        (("volume_of", {"path": "$volume_of.path"}, ["result.percent < 95", "result.inode_percent < 95"]),),
        "filesystem of a volume and what its cleanup rules would free",
    ),
    Rule(
        r"Could not resolve host: (?P<name>[\w.-]+)",
        "dns_failure",
        "The resolver's hosts file lacks the name.",
        (("host_entry", {"name": "$name"}),),
        ("host_entry.known",),
        (
            ("add_host_entry", {"service": "$host_entry.service", "file": "$host_entry.file", "name": "$name"}),
            ("reload_service", {"service": "$host_entry.service"}),
        ),
        (("host_entry", {"name": "$name"}, ["result.known == true"]),),
        "hosts file name resolvers entry",
    ),
    Rule(
        r'container name "/(?P<container>[\w-]+)" is already in use',
        "container_name_conflict",
        "A container that has ended still has the name.",
        (("container_left", {"service": "$service"}),),
        ("container_left.state",),
        (("recreate_container", {"service": "$service"}),),
        (("container_left", {"service": "$service"}, ["result.down == false"]),),
        "state of a service's container that ended",
    ),
    Rule(
        r"KeyError: '(?P<name>[A-Z][A-Z0-9_]+)'",
        "environment_variable_missing",
        "A variable that the service needs is not set.",
        (("variable", {"name": "$name", "service": "$service"}),),
        ("variable.present",),
        (("set_variable", {"service": "$service", "name": "$name", "value": "$hinted"}), _START),
        (("variable", {"name": "$name", "service": "$service"}, ["result.needed == false"]),),
        "variable that a service needs",
    ),
    Rule(
        r"Too many open files",
        "file_descriptors_exhausted",
        "The service's limit of open files is lower than what is documented for it.",
        (("open_files_limit", {"service": "$service"}),),
        ("open_files_limit.limit",),
        (
            (
                "set_value",
                {"file": "$open_files_limit.file", "key": "$open_files_limit.key", "value": "$open_files_limit.proper"},
            ),
            _RESTART,
        ),
        (("open_files_limit", {"service": "$service"}, ["result.waiting == false", "result.below == false"]),),
        "how many open files a service may have",
    ),
    Rule(
        r"(?P<test>test_\w+) \([\w.]+\) \.\.\. ERROR",
        "test_failure",
        "A test failed that depends on a server's start; it passes when it is run again.",
    ),
    Rule(
        r"detected dubious ownership in repository at '(?P<path>[^']+)'",
        "git_repository_unsafe",
        "Another user owns the work tree.",
        (("repository_of", {"path": "$path"}),),
        ("repository_of.owner",),
        (("git_safe_directory", {"repository": "$repository_of.name"}),),
        (("git_status", {"repository": "$repository_of.name"}, ["result.ok == true"]),),
        "repository owner of a path; git safe directory",
    ),
    Rule(
        r"Unable to create '(?P<path>[^']+index\.lock)': File exists",
        "file_locked",
        "A killed git left its lock file behind.",
        (("repository_of", {"path": "$path"}), ("git_lock", {"path": "$path", "repository": "$repository"})),
        ("git_lock.working",),
        (("remove_git_lock", {"repository": "$repository_of.name", "kind": "index"}),),
        (("git_lock", {"repository": "$repository_of.name", "kind": "index"}, ["result.exists == false"]),),
        "git lock file in a work tree; repository of a path",
    ),
    Rule(
        r'open\(\) "(?P<path>[^"]+)" failed \(2: No such file',
        "file_not_found",
        "The folder that the service writes to is missing.",
        (("missing_path", {"path": "$path", "service": "$service"}),),
        ("missing_path.missing",),
        (("make_directory", {"path": "$missing_path.missing", "service": "$service"}), _START),
        (("missing_path", {"path": "$path"}, ["result.folder_exists == true"]),),
        "what of a path is missing",
    ),
    Rule(
        r'unexpected "}" in (?P<file>\S+?):\d+',
        "config_syntax_error",
        "One statement lacks its semicolon.",
        (("nginx_statement", {"file": "$file"}),),
        ("nginx_statement.unended",),
        (("end_nginx_statement", {"service": "$service", "file": "$file"}), _RESTART),
        (("nginx_statement", {"file": "$file"}, ["result.unended == 0"]),),
        "nginx statement",
    ),
    Rule(
        r"onnection refused.*(?:upstream: \"\w+://127\.0\.0\.1:|port )(?P<port>\d+)"
        r"|port (?P<port_2>\d+) failed: Connection refused",
        "connection_refused",
        "The service behind the port does not run.",
        (("service_status", {"service": "$owner"}), ("tcp_check", {"port": "$port"})),
        ("service_status.state",),
        (("start_service", {"service": "$owner"}),),
        (("tcp_check", {"port": "$port"}, ["result.open == true"]),),
        "whether a TCP connection comes about",
    ),
    Rule(
        r"Missing: (?P<package>\S+)@\S+ from lock file",
        "lockfile_out_of_sync",
        "The lock file lacks what the manifest asks for.",
        (("npm_lock", {"environment": "$environment"}),),
        ("npm_lock.in_sync",),
        (("update_npm_lock", {"environment": "$environment"}),),
        (("npm_lock", {"environment": "$environment"}, ["result.in_sync == true"]),),
        "package-lock.json differs",
    ),
    Rule(
        r"permission denied for table (?P<table>\w+)",
        "access_forbidden",
        "The role lacks one right on the table.",
        (("postgres_denied", {"datastore": "$datastore", "table": "$table"}),),
        ("postgres_denied.role",),
        (
            (
                "grant_privilege",
                {
                    **(
                        _RIGHT := {
                            "datastore": "$datastore",
                            "role": "$postgres_denied.role",
                            "privilege": "$postgres_denied.privilege",
                            "table": "$table",
                        }
                    )
                },
            ),
        ),
        (("postgres_privilege", _RIGHT, ["result.has == true"]),),
        "postgres right on a table was refused denied privilege",
    ),
    Rule(
        r"too many clients|too many connections|remaining connection slots",
        "too_many_connections",
        "An application leaves its transactions open and holds all connections.",
        (("postgres_connections", {"datastore": "$datastore"}),),
        ("postgres_connections.leak",),
        (("end_idle_sessions", {"datastore": "$datastore", "application": "$postgres_connections.leak"}),),
        (("postgres_connections", {"datastore": "$datastore"}, ["result.free > 0"]),),
        "postgres connections against the limit",
    ),
    Rule(
        r"Address already in use",
        "port_in_use",
        "A stray process holds the service's port.",
        (("port_owner", {"service": "$service"}), ("service_status", {"service": "$service"})),
        ("port_owner.supervisor", "port_owner.pid"),
        (("free_port", {"port": "$port_owner.port"}), _START),
        (("port_owner", {"port": "$port_owner.port"}, ["result.ours == false"]),),
        "who listens on a port",
    ),
    Rule(
        r"No module named '(?P<module>\w+)'",
        "module_not_found",
        "A package of the requirements is not installed in the service's environment.",
        (("python_module", {"module": "$module", "environment": "$environment"}),),
        ("python_module.required",),
        (("install_requirements", {"environment": "$environment"}), _RESTART),
        (("python_module", {"module": "$module", "environment": "$environment"}, ["result.present == true"]),),
        "python module in an environment",
    ),
    Rule(
        r"Read-only file system: '(?P<path>[^']+)'",
        "read_only_filesystem",
        "The volume was mounted read-only.",
        (("volume_of", {"path": "$path"}),),
        ("volume_of.read_only",),
        (("remount_writable", {"volume": "$volume_of.volume"}),),
        (("disk_usage", {"path": "$path"}, ["result.read_only == false"]),),
        "filesystem of a volume",
    ),
    Rule(
        r"OOM command not allowed",
        "cache_out_of_memory",
        "Redis is allowed less memory than what its configuration sets aside for it.",
        (("redis_info", {"datastore": "$datastore"}), ("memory_documented", {"datastore": "$datastore"})),
        ("redis_info.percent", "memory_documented.hinted"),
        (("redis_set", {"datastore": "$datastore", "name": "maxmemory", "value": "$memory_documented.hinted"}),),
        (("redis_info", {"datastore": "$datastore"}, ["result.percent < 95"]),),
        "redis memory; datastore's configuration comment about memory set aside",
    ),
    Rule(
        r"Error acquiring the state lock",
        "state_locked",
        "The lock's holder is dead.",
        (("lock_holder", {"lock": "$lock"}),),
        ("lock_holder.state",),
        (("release_lock", {"lock": "$lock"}),),
        (("lock_holder", {"lock": "$lock"}, ['result.state == "free"']),),
        "who holds a lock of the inventory",
    ),
    Rule(
        r"can't find command '(?P<path>[^']+)'|ExecStart=(?P<path_2>\S+) \(code=exited, status=203",
        "service_failed",
        "The service's program has moved.",
        (("service_program", {"service": "$service", "path": "$path"}),),
        ("service_program.moved",),
        (
            ("correct_program", {"path": "$path", "service": "$service", "new": "$service_program.moved"}),
            ("reload_units", {"service": "$service"}),
            _START,
        ),
        (("service_program", {"service": "$service"}, ["result.exists == true"]),),
        "program that a service's configuration names",
    ),
)


def competent(asked: Asked) -> Reply:
    """The next answer of somebody who knows the rules: search, look, conclude."""
    first = asked.said[0]
    for rule in RULES:
        if match := re.search(rule.when, first):
            return _follow(rule, match, asked, first)
    return _unknown(first, "none of the rules fits")


def _follow(rule: Rule, match: re.Match[str], asked: Asked, first: str) -> Reply:
    known = _place(first) | {name.removesuffix("_2"): text for name, text in match.groupdict().items() if text}
    known["owner"] = next((name for name, ports in _ports(first).items() if known.get("port") in ports), "")
    seen: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, _args, text in asked.results:
        with_id = _json(text)
        if "data" in with_id:
            seen[name] = (with_id["id"], with_id["data"])
    searched = [text for name, _args, text in asked.results if name == "find_tools"]
    refused = [text for name, _args, text in asked.results if name == "conclude"]
    if refused:
        print("refused:", refused[-1], file=sys.stderr)
        return _unknown(first, "what I proposed was refused")
    wanted = [name for name, _ in rule.looks if name not in seen]
    listed = first + "".join(searched)
    missing = [name for name in wanted if name not in asked.functions]
    missing += [name for name, _ in rule.steps if f"{name}(" not in listed and f"{name} [" not in listed]
    if missing and len(searched) < 2:
        words = rule.words if not searched else " ".join(missing).replace("_", " ")
        return Reply(calls=[("find_tools", {"words": words})])
    if missing:
        print("not offered:", missing, file=sys.stderr)
        return _unknown(first, f"no tool was offered for it: {missing}")
    if wanted and len(asked.results) < 8:
        return Reply(calls=[(name, _filled(args, known, {})) for name, args in rule.looks if name in wanted])
    facts = {name: data for name, (_, data) in seen.items()}
    if "variable" in facts:
        known["hinted"] = _for_site(str(facts["variable"].get("hint")), first + json.dumps(facts["variable"]))
    return Reply(calls=[("conclude", _conclusion(rule, match, first, known, seen, facts))])


def _conclusion(rule: Rule, match: re.Match[str], first: str, known: Any, seen: Any, facts: Any) -> dict[str, Any]:
    evidence = [_cited_line(first, match)]
    for each in rule.cite:
        name, field = each.split(".")
        if name in seen:
            quote = f'"{field}":{json.dumps(seen[name][1].get(field), ensure_ascii=False)}'
            evidence.append({"id": seen[name][0], "quote": quote})
    cause = rule.cause
    if cause == "disk_full" and facts["volume_of"]["inode_percent"] >= 95:
        cause = "inodes_exhausted"
    return {
        "cause": cause,
        "summary": rule.summary,
        "confidence": 0.9,
        "evidence": evidence,
        "steps": [
            {"tool": name, "args": _filled(args, known, facts), "why": rule.summary} for name, args in rule.steps
        ],
        "checks": [
            {"probe": name, "args": _filled(args, known, facts), "expect": expect} for name, args, expect in rule.checks
        ],
    }


def _unknown(first: str, why: str) -> Reply:
    said = {"cause": "unknown", "summary": why, "confidence": 0.0, "evidence": [], "advice": ["Read the excerpt."]}
    return Reply(calls=[("conclude", said)])


def _place(first: str) -> dict[str, str]:
    """Words of the place: the failing service (else the only one), and the first of each other kind."""
    known = {}
    failing = re.findall(r"([\w-]+) \([^)]*health FAILS\)", first)
    services = list(_ports(first))
    if failing or services:
        known["service"] = (failing or services)[0]
    for kind, name in (
        ("datastores", "datastore"),
        ("environments", "environment"),
        ("locks", "lock"),
        ("repositories", "repository"),
    ):
        if found := re.search(rf"^{kind}: ([\w-]+)", first, re.M):
            known[name] = found[1]
    return known


def _ports(first: str) -> dict[str, list[str]]:
    line = re.search(r"^services: (.*)$", first, re.M)
    entries = re.findall(r"([\w-]+) \(([^)]*)\)", line[1]) if line else []
    return {name: re.findall(r"port (\d+)", text) for name, text in entries}


def _for_site(hint: str, around: str) -> str:
    """`site zurich: CHF, site berlin: EUR` means CHF where everything around speaks of zurich."""
    pairs = re.findall(r"(\w+): (\w+)", hint)
    rest = around.replace(hint, "")
    return next((value for name, value in pairs if name in rest), pairs[0][1] if pairs else "")


def _filled(args: dict[str, Any], known: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, each in args.items() if (value := _value(each, known, facts)) is not None}


def _value(each: Any, known: dict[str, Any], facts: dict[str, Any]) -> Any:
    if not isinstance(each, str) or not each.startswith("$"):
        return each
    name, _, field = each[1:].partition(".")
    if field:
        return facts.get(name, {}).get(field)
    value = known.get(name)
    return int(value) if name in ("port", "pid") and value else value


def _cited_line(first: str, match: re.Match[str]) -> dict[str, str]:
    start = first.rfind("\n", 0, match.start()) + 1
    line = first[start : match.end()].rsplit("\n", maxsplit=1)[-1]
    name, _, text = line.partition("| ")
    return {"id": name, "quote": text}


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _nonsense(_asked: Asked) -> Reply:
    """Well-formed and wrong in every way: made-up evidence, causes, tools, arguments, probes."""
    return Reply(
        calls=[
            (
                "conclude",
                {
                    "cause": "disk_full",
                    "summary": "Delete everything.",
                    "confidence": 1.0,
                    "evidence": [{"id": "log:1", "quote": "the disk is full, says nobody"}],
                    "steps": [
                        {"tool": "end_process", "args": {"pid": 1}},
                        {"tool": "rm", "args": {"path": "/"}},
                        {"tool": "clean_volume", "args": {"volume": "/"}},
                    ],
                },
            )
        ]
    )


MODES = {
    "competent": competent,
    "garbage": lambda asked: Reply(text='\x00\x07lorem {"call": ipsum <tool>' * 40),
    "nonsense": _nonsense,
    "slow": lambda asked: Reply(text="…", delay=60),
    "rate": lambda asked: Reply(status=429, message="slow down", headers={"retry-after": "1"}),
    "broken": lambda asked: Reply(raw=b"<html>502</html>"),
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mode", choices=[*MODES, "dead"], default="competent")
    options.add_argument("--planner", default="model")
    options.add_argument("--requests", type=Path, help="append every request's body to this file, one a line")
    options.add_argument("command", nargs="+")
    given = options.parse_args()
    with serving(MODES.get(given.mode, competent)) as server:
        settings = {
            "PLANNER": given.planner,
            "MODEL_BASE_URL": nobody() if given.mode == "dead" else server.url,
            "MODEL_TIMEOUT_SECONDS": "3" if given.mode == "slow" else "30",
            "MODEL_PATIENCE_SECONDS": "8" if given.mode != "competent" else "60",
        }
        environ = os.environ | {f"DEVOPS_AGENT_{name}": value for name, value in settings.items()}
        ended = subprocess.run(given.command, env=environ, check=False)
        if given.requests:
            with given.requests.open("ab") as kept:
                kept.writelines(each.raw + b"\n" for each in server.asked)
    return ended.returncode


if __name__ == "__main__":
    raise SystemExit(main())
