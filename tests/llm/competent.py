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
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llm.rules import RULES, Rule
from llm.scripted import Asked, Reply, nobody, serving


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
