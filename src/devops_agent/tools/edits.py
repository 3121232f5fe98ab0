"""Editors: pure functions from text to text that read and change one setting where it lives, keeping form and comments.

A form knows a kind of file: `entries` lists its settings as (key, value), `put` sets one. Line-based forms are here,
YAML, JSON and TOML in `structured.py`. An edit is refused where the key is there more than once and it is not clear
which counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from devops_agent.errors import BadArguments
from devops_agent.tools import structured

Entries = Callable[[str], Iterator[tuple[str, str]]]
Put = Callable[[str, str, Any], str]


@dataclass(frozen=True)
class Form:
    """A kind of file: how its settings are listed, and how one is set."""

    entries: Entries
    put: Put


def edit(editor: str, text: str, args: dict[str, Any]) -> str:
    """The text after an edit; raises BadArguments where there is no such editor or its arguments do not fit."""
    if editor in FORMS:
        try:
            return FORMS[editor].put(text, str(args["key"]), args["value"])
        except KeyError as error:
            raise BadArguments(f"{editor}: {error.args[0]} is missing") from None
    if editor not in EDITORS:
        raise BadArguments(f"no editor {editor!r} (known: {', '.join(sorted([*FORMS, *EDITORS]))})")
    try:
        return EDITORS[editor](text, **args)
    except TypeError as error:
        raise BadArguments(f"{editor}: {error}") from None


def value(editor: str, text: str, key: str) -> str | None:
    """The value that counts for a key (the last one), None where it is not set."""
    found = None
    for name, held in FORMS[editor].entries(text):
        if name == key:
            found = held
    return found


def form_of(path: str, text: str) -> str:
    """Which form a file has, by its name and, where that says nothing, by what is in it."""
    name = PurePosixPath(path).name.lower()
    suffix = PurePosixPath(name).suffix
    known = {
        ".yml": "yaml",
        ".yaml": "yaml",
        ".json": "json",
        ".toml": "toml",
        ".ini": "ini",
        ".cnf": "ini",
        ".cfg": "ini",
    }
    known |= {
        ".service": "ini",
        ".socket": "ini",
        ".timer": "ini",
        ".env": "env",
        ".properties": "words",
        ".nginx": "directive",
    }
    if suffix in known:
        return known[suffix]
    if name.startswith((".env", "env.")) or name.endswith(".env"):
        return "env"
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", ";", "//"))]
    if lines and re.fullmatch(r"\[[^\]]+\]", lines[0]):
        return "ini"
    if any(line.endswith("{") for line in lines) or (lines and all(line.endswith((";", "}")) for line in lines)):
        return "directive"
    if lines and all(re.match(r"(export\s+)?[A-Za-z_]\w*=\S*", line) for line in lines):
        return "env"
    return "words"


# ---- KEY=value, as in env files. Sources: systemd.exec(5), docker's --env-file, POSIX sh

_ENV = re.compile(r"^(\s*(?:export\s+)?)([A-Za-z_][\w.-]*)(\s*=\s*)(.*?)(\s*)$")


def _env_entries(text: str) -> Iterator[tuple[str, str]]:
    for line in map(_bare, _lines(text)):
        found = _ENV.match(line)
        if found:
            yield found[2], _split_comment(found[4])[1]


def _env_put(text: str, key: str, new: Any) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", key):
        raise BadArguments(f"key: not a variable's name: {key!r}")
    plain = one_line(new)
    lines = _lines(text)
    at = [number for number, line in enumerate(lines) if (found := _ENV.match(_bare(line))) and found[2] == key]
    if not at:
        return _appended(text, f"{key}={_env_quoted(plain, '')}")
    found = _ENV.match(_bare(lines[at[-1]]))
    assert found  # noqa: S101 - it matched above
    quote, _, comment = _split_comment(found[4])
    body = f"{found[1]}{key}{found[3]}{_env_quoted(plain, quote)}{comment}"
    lines[at[-1]] = body + _line_end(lines[at[-1]])
    return "".join(lines)


def _split_comment(raw: str) -> tuple[str, str, str]:
    """Quote, value and what follows (a comment) of the right side of an assignment."""
    if raw[:1] in ("'", '"'):
        end = raw.find(raw[0], 1)
        while end > 0 and raw[0] == '"' and raw[end - 1] == "\\":
            end = raw.find('"', end + 1)
        if end > 0:
            return raw[0], raw[1:end], raw[end + 1 :]
    found = re.search(r"\s+#.*$", raw)
    return ("", raw[: found.start()], raw[found.start() :]) if found else ("", raw, "")


def _env_quoted(plain: str, quote: str) -> str:
    if not quote and re.fullmatch(r"[\w@%+=:,./-]*", plain):
        return plain
    if quote != '"' and "'" not in plain:
        return f"'{plain}'"
    escaped = re.sub(r'(["\\$`])', r"\\\1", plain)
    return f'"{escaped}"'


# ---- [section] key = value, as in INI files, systemd units and supervisord's configuration

_SECTION = re.compile(r"^\s*\[([^\]]+)\]\s*(?:[#;].*)?$")
_INI = re.compile(r"^(\s*)([^\s#;\[=:][^=:]*?)(\s*[=:]\s*)(.*?)(\s*)$")


def _ini_lines(text: str) -> Iterator[tuple[int, str, re.Match[str]]]:
    section = ""
    for number, line in enumerate(map(_bare, _lines(text))):
        if found := _SECTION.match(line):
            section = found[1].strip()
        elif found := _INI.match(line):
            yield number, f"{section}.{found[2].strip()}" if section else found[2].strip(), found


def _ini_entries(text: str) -> Iterator[tuple[str, str]]:
    for _, key, found in _ini_lines(text):
        yield key, re.split(r"\s+[#;]", found[4], maxsplit=1)[0]


def _ini_put(text: str, key: str, new: Any) -> str:
    plain = one_line(new)
    lines = _lines(text)
    at = [(number, found) for number, name, found in _ini_lines(text) if name == key]
    if at:
        number, found = at[-1]
        comment = re.search(r"\s+[#;].*$", found[4])
        lines[number] = (
            f"{found[1]}{found[2]}{found[3]}{plain}{comment[0] if comment else ''}{_line_end(lines[number])}"
        )
        return "".join(lines)
    section, _, name = key.rpartition(".")
    if not re.fullmatch(r"[^\s=:\[\]#;][^=:\[\]\n]*", name):
        raise BadArguments(f"key: not a setting's name: {key!r}")
    gap = " = " if any(" = " in line for line in lines) else "="
    heads = [
        number for number, line in enumerate(lines) if (f := _SECTION.match(_bare(line))) and f[1].strip() == section
    ]
    if section and not heads:
        return _appended(text, f"[{section}]\n{name}{gap}{plain}", blank=bool(text.strip()))
    first = heads[-1] + 1 if heads else 0
    ends = [number for number in range(first, len(lines)) if _SECTION.match(_bare(lines[number]))]
    last = ends[0] if ends else len(lines)
    while last > first and not lines[last - 1].strip():
        last -= 1
    return (
        "".join(lines[:last]).removesuffix("\n") + "\n" * bool(last) + f"{name}{gap}{plain}\n" + "".join(lines[last:])
    )


# ---- `key value`, `key = value`, `key: value`, one a line, as in redis.conf, sshd_config, postgresql.conf, properties

_WORDS = re.compile(r"^(\s*)([A-Za-z_@][\w.@/-]*)(\s*[=:]\s*|\s+)(\S.*?|)(\s*)$")


def _words_entries(text: str) -> Iterator[tuple[str, str]]:
    for line in map(_bare, _lines(text)):
        if found := _WORDS.match(line):
            yield found[2], _split_comment(found[4])[1]


def _words_put(text: str, key: str, new: Any) -> str:
    plain = one_line(new)
    lines = _lines(text)
    shapes = [(number, found) for number, line in enumerate(lines) if (found := _WORDS.match(_bare(line)))]
    at = [(number, found) for number, found in shapes if found[2] == key]
    if not at:
        if not re.fullmatch(r"[A-Za-z_@][\w.@/-]*", key):
            raise BadArguments(f"key: not a setting's name: {key!r}")
        gap = shapes[-1][1][3] if shapes else " "
        return _appended(text, f"{key}{gap if gap.strip() else ' '}{plain}")
    number, found = at[-1]
    quote, _, comment = _split_comment(found[4])
    if quote and quote in plain:
        raise BadArguments("value: it holds the quote that the file uses")
    lines[number] = f"{found[1]}{key}{found[3]}{quote}{plain}{quote}{comment}{_line_end(lines[number])}"
    return "".join(lines)


# ---- `key value;` in nested blocks, as in nginx's, BIND's and ISC's configuration

_DIRECTIVE = re.compile(r"^(\s*)([A-Za-z_][\w-]*)(\s+)([^;{}#]*?)(\s*;)(.*)$")
_BLOCK = re.compile(r"^\s*([A-Za-z_][\w-]*)\s*([^;{}#]*?)\s*\{")


def _directives(text: str) -> Iterator[tuple[int, str, re.Match[str]]]:
    path: list[str] = []
    for number, line in enumerate(map(_bare, _lines(text))):
        bare = line.split("#", 1)[0]
        if block := _BLOCK.match(bare):
            path.append(" ".join(filter(None, block.groups())))
            bare = bare[block.end() :]
            path = path[: len(path) - bare.count("}")] if bare.count("}") else path
            continue
        if found := _DIRECTIVE.match(line):
            yield number, ".".join([*(part.split()[0] for part in path), found[2]]), found
        for _ in range(bare.count("}")):
            path = path[:-1]


def _directive_entries(text: str) -> Iterator[tuple[str, str]]:
    for _, key, found in _directives(text):
        yield key, found[4]


def _directive_put(text: str, key: str, new: Any) -> str:
    plain = one_line(new)
    if re.search(r"[;{}]", plain):
        raise BadArguments("value: it would end the directive")
    lines = _lines(text)
    at = [(number, found) for number, name, found in _directives(text) if name == key or name.endswith(f".{key}")]
    if len({found[4] for _, found in at}) > 1:
        raise BadArguments(f"key: {key!r} is there {len(at)} times with different values; name the one that is meant")
    if not at:
        raise BadArguments(f"key: there is no {key!r} to change")
    for number, found in at:
        body = f"{found[1]}{found[2]}{found[3]}{plain}{found[5]}{found[6]}"
        lines[number] = body + _line_end(lines[number])
    return "".join(lines)


# ---- whole texts


def replace(text: str, old: str, new: str) -> str:
    """Replace a text that stands there exactly once."""
    count = text.count(old) if old else 0
    if count != 1:
        raise BadArguments(f"old: the text is there {count} times, not once")
    return text.replace(old, new)


def flag(text: str, name: str, new: str, old: str) -> str:
    """Change the value of a command line option (`-Xmx`, `--timeout=`) that stands there with one value."""
    whole = f"{name}{old}"
    found = list(re.finditer(rf"(?<![\w-]){re.escape(whole)}(?![\w.])", text))
    if not found:
        raise BadArguments(f"name: there is no {whole!r} to change")
    plain = one_line(new)
    if not re.fullmatch(r"[\w.+-]+", plain):
        raise BadArguments(f"new: not an option's value: {plain!r}")
    return re.sub(rf"(?<![\w-]){re.escape(whole)}(?![\w.])", lambda _: f"{name}{plain}", text)


def line(text: str, wanted: str) -> str:
    """See that a line is there; appended where it is not."""
    plain = one_line(wanted)
    return text if plain in (each.strip() for each in text.splitlines()) else _appended(text, plain)


def block(text: str, wanted: str) -> str:
    """See that a block of lines is there (a PEM certificate); appended where it is not."""
    plain = wanted.strip() + "\n"
    if any(ord(character) < 32 and character not in "\n\r" for character in plain):
        raise BadArguments("wanted: control characters in it")
    return text if plain.strip() in text else _appended(text, plain.rstrip("\n"))


def unit_variable(text: str, name: str, value: str) -> str:
    """Give a systemd unit's service a variable: a line `Environment=` of its own, after those that are there."""
    assignment = _assignment(name, value).replace("%", "%%")
    lines = _lines(text)
    heads = [number for number, each in enumerate(lines) if _bare(each).strip() == "[Service]"]
    if len(heads) != 1:
        raise BadArguments(f"the unit has {len(heads)} sections [Service], not one")
    ends = [number for number in range(heads[0] + 1, len(lines)) if _SECTION.match(_bare(lines[number]))]
    own = range(heads[0] + 1, ends[0] if ends else len(lines))
    at = [number for number in own if re.match(r"\s*Environment\s*=", lines[number])]
    last = at[-1] if at else heads[0]
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    return "".join([*lines[: last + 1], f"Environment={assignment}\n", *lines[last + 1 :]])


def program_variable(text: str, program: str, name: str, value: str) -> str:
    """Give a program of supervisord a variable, beside those that it has."""
    quoted = '"' + one_line(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'
    key = f"program:{program}.environment"
    held = next((found for each, found in _ini_entries(text) if each == key), "")
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise BadArguments(f"name: not a variable's name: {name!r}")
    return _ini_put(text, key, f"{held},{name}={quoted}" if held else f"{name}={quoted}")


def _assignment(name: str, value: str) -> str:
    plain = one_line(value)
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise BadArguments(f"name: not a variable's name: {name!r}")
    if re.fullmatch(r"[\w@%+=:,./-]*", plain):
        return f"{name}={plain}"
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}={escaped}"'


def one_line(new: Any) -> str:
    """A value as text that fits on one line; booleans as files write them."""
    plain = str(new).lower() if isinstance(new, bool) else str(new)
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in plain):
        raise BadArguments("value: it must be one line, without control characters")
    return plain


def _lines(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one, as for the programs that read these files."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _bare(raw: str) -> str:
    return raw.rstrip("\r\n")


def _line_end(raw: str) -> str:
    return raw[len(raw.rstrip("\r\n")) :]


def _appended(text: str, added: str, blank: bool = False) -> str:
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}{chr(10) if blank else ''}{added}\n"


FORMS: dict[str, Form] = {
    "env": Form(_env_entries, _env_put),
    "ini": Form(_ini_entries, _ini_put),
    "words": Form(_words_entries, _words_put),
    "directive": Form(_directive_entries, _directive_put),
    "yaml": Form(structured.yaml_entries, structured.yaml_put),
    "json": Form(structured.json_entries, structured.json_put),
    "toml": Form(structured.toml_entries, structured.toml_put),
}
EDITORS: dict[str, Callable[..., str]] = {
    "replace": replace,
    "flag": flag,
    "line": line,
    "block": block,
    "unit_variable": unit_variable,
    "program_variable": program_variable,
}
