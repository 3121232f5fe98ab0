"""Settings of a place: which files may be edited, what stands in them, which of them limit memory or time.

A setting is asked about (NotAllowed, with the candidates named) where it is not clear which one is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from devops_agent.errors import BadArguments, CommandFailed, NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import edits, quantities
from devops_agent.tools.base import Host
from devops_agent.tools.quantities import Amount

LIMIT = 1 << 20
_MEMORY_KEY = re.compile(
    r"(^|[._-])(max_?)?mem(ory)?([._-]?(limit|max|high|mb|size|swap_?max))?$|memory|(^|[._])mem[._-]|heap|maxmemory|xmx|max-old-space",
    re.I,
)
_NOT_MEMORY = re.compile(r"polic|sample|request|swap|overcommit|profil|driver|engine|backend|type|class", re.I)
_TIME_KEY = re.compile(
    r"time_?-?out|timelimit|time_limit|deadline|max_execution_time|timeout-minutes|Timeout\w*Sec|startsecs|stopwaitsecs",
    re.I,
)
_MEMORY_FLAG = re.compile(
    r"(?<![\w-])(-Xmx|--max-old-space-size=|--max_old_space_size=|--memory=|--memory-limit=)(\d+[kKmMgGtT]?[iI]?[bB]?)"
)
_TIME_FLAG = re.compile(r"(?<![\w-])(--timeout[= ]|--test-timeout[= ]|--testTimeout[= ])(\d+(?:ms|s|m|h)?)\b")
_MEBI = 1 << 20
_FOLDERS = (".", ".github/workflows", ".circleci")
_USUAL = re.compile(
    r"\.gitlab-ci\.yml|azure-pipelines\.yml|config\.yml|(docker-)?compose\.ya?ml|\.env|pytest\.ini|tox\.ini|pyproject\.toml"
    r"|jest\.config\.json|package\.json|gradle\.properties|phpunit\.xml"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One value in one file, and the amount that it stands for. `editor` is a form's name, or `flag`."""

    file: str
    editor: str
    key: str
    text: str
    amount: Amount

    def __str__(self) -> str:
        return f"{self.file}: {self.key}{'' if self.editor == 'flag' else ' = '}{self.text}"


Find = Callable[[Host, list[str]], list[Setting]]


def editable(host: Host, place: Place, service: str | None, file: str | None, find: Find) -> list[str]:
    """The files that may be edited: the one that is named, or those that the inventory lets a repair edit.

    Without an inventory it asks, naming what `find` sees in the usual files of a project.
    """
    if file is not None:
        require_editable(host, place, file)
        return [place.path(file)]
    if not place.known:
        usual = [path for folder in _FOLDERS for path in _usual(host, place.path(folder))]
        seen = "; ".join(str(each).removeprefix(f"{place.workspace}/") for each in find(host, usual)[:12])
        asked = "there is no inventory; name the file (file) and the setting (key) that is meant"
        raise NotAllowed(f"{asked}. There are: {seen}" if seen else asked)
    services = [service] if service else place.services_here()
    files = [place.path(path) for name in services for path in place.service(name).config]
    return [path for path in dict.fromkeys(files) if not place.is_protected(path)]


def _usual(host: Host, folder: str) -> list[str]:
    try:
        names = host.folder(folder)
    except CommandFailed:
        return []
    everything = folder.endswith("workflows")
    return [
        f"{folder}/{name}"
        for name in names
        if _USUAL.fullmatch(name) or (everything and name.endswith((".yml", ".yaml")))
    ]


def require_editable(host: Host, place: Place, file: str) -> None:
    """Raise NotAllowed for a file that a repair may not edit; without an inventory, any outside the workspace."""
    path = place.path(file)
    real = host.resolve(path)
    if place.is_protected(path) or place.is_protected(real):
        raise NotAllowed(f"{file} is protected by the inventory")
    if place.known:
        if not (place.may_edit(path) or place.may_edit(real)):
            raise NotAllowed(f"{file} is not among the files (config) that the inventory lets a repair edit")
        return
    if not real.startswith(host.resolve(place.workspace).rstrip("/") + "/") or "/.git/" in real:
        raise NotAllowed(
            f"{file} lies outside the workspace {place.workspace}, and there is no inventory that names it"
        )


def text_of(host: Host, path: str) -> str | None:
    """A settings file as text; None where there is none that could be read."""
    try:
        return host.read(path, LIMIT).decode("utf-8")
    except (CommandFailed, UnicodeDecodeError):
        return None


def entries(path: str, text: str) -> Iterator[tuple[str, str, str]]:
    """(form, key, value) of everything that a file sets; nothing where it cannot be parsed."""
    form = edits.form_of(path, text)
    try:
        for key, value in edits.FORMS[form].entries(text):
            yield form, key, value
    except BadArguments:
        return


def memory_settings(host: Host, files: list[str]) -> list[Setting]:
    """What limits memory in these files."""
    return _found(host, files, _is_memory, _memory, _MEMORY_FLAG)


def time_settings(host: Host, files: list[str]) -> list[Setting]:
    """What limits time in these files."""
    return _found(host, files, lambda key: bool(_TIME_KEY.search(key)), span, _TIME_FLAG)


def one(found: list[Setting], key: str | None, what: str, files: list[str]) -> Setting:
    """The setting that is meant; raises NotAllowed, with the candidates, where that is not clear."""
    meant = [each for each in found if key is None or each.key == key or each.key.endswith(f".{key}")]
    if len(meant) == 1:
        return meant[0]
    where = ", ".join(files) or "no file at all"
    if not meant:
        wanted = f"no setting {key!r} that limits {what}" if key else f"nothing that limits {what}"
        raise NotAllowed(f"{wanted} in the files that may be edited ({where}); name file and key")
    listed = "; ".join(map(str, meant[:12]))
    raise NotAllowed(f"it is not clear which limit of {what} is meant; name file and key. There are: {listed}")


def raised(setting: Setting, value: float) -> dict[str, Any] | None:
    """The edit that raises a setting to at least `value`; None where it is that high already, or unlimited."""
    if quantities.unlimited(setting.text) or setting.amount.value >= value:
        return None
    new = setting.amount.like(value)
    if setting.editor == "flag":
        return {"name": setting.key, "new": new, "old": setting.text}
    number = setting.editor in ("yaml", "json", "toml") and new.isdigit() and setting.text.isdigit()
    return {"key": setting.key, "value": int(new) if number else new}


def span(key: str, text: str) -> Amount | None:
    """A span of time under a key whose name may say the unit; None where a bare number's unit is anybody's guess."""
    name = key.rsplit(".", 1)[-1].lower()
    if re.search(r"(_|-|\b)(ms|millis|milliseconds|msecs?)$|millis", name) or re.search(
        r"testtimeout|lock_timeout|statement_timeout", name
    ):
        return quantities.time(text, 1e-3)
    if re.search(r"(_|-)min(ute)?s?$", name):
        return quantities.time(text, 60)
    amount = quantities.time(text, 1)
    bare = text.strip().isdigit()
    if bare and amount and amount.number >= 10000 and not re.search(r"sec(ond)?s?$", name):
        return quantities.time(text, 1e-3)
    return amount


def _memory(key: str, text: str) -> Amount | None:
    name = key.rsplit(".", 1)[-1].lower()
    if re.search(r"(_|-|\b)(mb|mib|megabytes)$", name):
        return quantities.memory(text, _MEBI)
    if re.search(r"(_|-|\b)(kb|kib)$", name):
        return quantities.memory(text, 1024)
    if re.search(r"(_|-|\b)(gb|gib)$", name):
        return quantities.memory(text, 1 << 30)
    amount = quantities.memory(text, 1)
    if amount and text.strip().isdigit() and amount.number < 1 << 20:
        return quantities.memory(text, _MEBI)  # a bare number this small cannot be bytes
    return amount


def _is_memory(key: str) -> bool:
    name = key.rsplit(".", 1)[-1]
    owner = key.rsplit(".", 2)[-2] if "." in key else ""
    return bool(_MEMORY_KEY.search(name)) and not _NOT_MEMORY.search(name) and not _NOT_MEMORY.search(owner)


def _found(
    host: Host,
    files: list[str],
    wanted: Callable[[str], bool],
    amount: Callable[[str, str], Amount | None],
    flags: re.Pattern[str],
) -> list[Setting]:
    found: dict[tuple[str, str], Setting] = {}
    for path in files:
        text = text_of(host, path)
        if text is None:
            continue
        for form, key, value in entries(path, text):
            held = Amount(float("inf"), 1, "") if quantities.unlimited(value) else amount(key, value)
            if wanted(key) and held is not None:
                found[path, key] = Setting(path, form, key, value, held)
        uncommented = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", "//", ";")))
        for name, value in flags.findall(uncommented):
            held = amount(name.strip("-= "), value)
            if held is not None:
                found[path, name] = Setting(path, "flag", name, value, held)
    return list(found.values())
