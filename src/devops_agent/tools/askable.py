"""Which columns a question to a database may ask for: none that looks secret, by no other name, in no whole row.

A column is masked by its name. So a name that looks secret is not asked for, and nothing that would give it another one
is: a whole row as a value (`u::text`, `json_agg(u)`), or `*` under the names of something else (a UNION's first part,
a list of column names).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from devops_agent.errors import NotAllowed
from devops_agent.tools import secrecy

_TEXTS = re.compile(r"'(?:[^']|'')*'")
_WORD = re.compile(r"[A-Za-z_][\w$]*")
_SECRET_TABLES = re.compile(
    r"(?i)\bpg_(authid|shadow|user_mappings?|largeobject|subscription|hba_file_rules|foreign_server|stats|stats_ext\w*"
    r"|statistic\w*|file_settings)\b"
)
_STAR = re.compile(r"(?<![(\w])\*|(?<!\bcount)\(\s*\*", re.I)
_SIMPLE = re.compile(
    r"(?is)select\s+\*\s+from\s+[\w.]+(?:\s+(?:as\s+)?(?!where|order|limit|offset)\w+)?\s*(?:\b(?:where|order|limit|offset)\b.*)?"
)
_SOURCES = re.compile(
    r"(?is)\b(?:from|join)\b(.*?)(?=\b(?:from|join|where|group|order|limit|offset|having|union|except|intersect|on|using"
    r"|window|fetch|select|left|right|full|inner|cross|natural)\b|[()]|$)"
)
_TABLE = re.compile(r"(?i)(?:^|,)\s*(?:only\s+)?(?:[\w$]+\.)?([A-Za-z_][\w$]*)(?:\s+(?:as\s+)?([A-Za-z_][\w$]*))?")
_DERIVED = re.compile(r"(?i)\)\s*(?:as\s+)?([A-Za-z_][\w$]*)")
_WITH = re.compile(r"(?i)(?:\bwith\s+(?:recursive\s+)?|,\s*)([A-Za-z_][\w$]*)\s+as\s*\(")
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """where and or not in on using join left right full inner outer cross natural lateral group by having order
        limit offset as case when then else end is null true false union all except intersect select from like ilike
        between asc desc nulls first last with over filter within distinct tablesample fetch window any some exists""",
    )
)


def require_open(query: str) -> None:
    """Raise NotAllowed for a question whose answer could hold something secret under another name."""
    text = _TEXTS.sub("''", query).replace('"', "")
    if found := _SECRET_TABLES.search(text):
        raise NotAllowed(f"query: {found[0]} may hold secrets; it is not read")
    for word in _WORD.finditer(text):
        alias = re.search(r"(?i)\bas\s+$", text[: word.start()])
        if secrecy.is_secret(word[0]) and not alias:
            raise NotAllowed(f"query: {word[0]} looks as if it held secrets; it is not asked for")
    if re.search(r"(?i)\btable\b", text):
        raise NotAllowed("query: name the columns, with SELECT")
    if _STAR.search(re.sub(r"(?i)\bcount\s*\(\s*\*\s*\)", "", text)) and not _SIMPLE.fullmatch(text.strip()):
        raise NotAllowed("query: `*` only in a plain `SELECT * FROM table`; else name the columns")
    _require_no_rows(text)


def _require_no_rows(text: str) -> None:
    """A table, or its other name, stands only before a point, or where it is introduced."""
    spans: dict[str, set[int]] = {}
    for name, at in _sources(text):
        if name.lower() not in _KEYWORDS:
            spans.setdefault(name.lower(), set()).add(at)
    for found in _WORD.finditer(text):
        name = found[0].lower()
        if name in spans and found.start() not in spans[name] and not text[found.end() :].lstrip().startswith("."):
            raise NotAllowed(f"query: {found[0]} as a value would be whole rows; name the columns")


def _sources(text: str) -> Iterator[tuple[str, int]]:
    """Every name of a source of rows, and where it is introduced."""
    for region in _SOURCES.finditer(text):
        for found in _TABLE.finditer(region[1]):
            for number in (1, 2):
                if found[number]:
                    yield found[number], region.start(1) + found.start(number)
    for found in _DERIVED.finditer(text):
        if not _is_call(text, found.start()):
            yield found[1], found.start(1)
    for found in _WITH.finditer(text):
        yield found[1], found.start(1)


def _is_call(text: str, close: int) -> bool:
    """Whether the parenthesis that closes here holds the arguments of a function: those give no rows of a table."""
    depth = 0
    for at in range(close, -1, -1):
        depth += {")": 1, "(": -1}.get(text[at], 0)
        if depth == 0:
            before = re.search(r"([A-Za-z_][\w$]*)\s*$", text[:at])
            return before is not None and before[1].lower() not in _KEYWORDS
    return False
