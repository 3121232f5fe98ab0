"""A log's bytes as lines that people would see: decoded, without colours, controls and overwritten progress bars.

Lines end at a line feed alone, so that numbers are those of the log as given.
"""

from __future__ import annotations

import re

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[@-Z\\^_=>78])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DIRTY = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WRITTEN_OUT = re.compile(r"\^\[\[[0-9;]{0,16}[mK]")
"""Colours that a viewer wrote in characters (`^[[31m`)."""

LONGEST = 4000
"""Characters of one line that are looked at: beyond lies minified code or base64."""


def decode(data: bytes) -> str:
    """Text of a log in UTF-8 (broken bytes replaced), UTF-16 or UTF-32 with or without a mark, else Latin-1."""
    if data[:3] == b"\xef\xbb\xbf":
        return data[3:].decode("utf-8", "replace")
    wide = encoding(data[:4096])
    if wide:
        return data.decode(wide, "replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        return data.decode("latin-1") if broken > 20 + len(text) // 200 else text


def encoding(head: bytes) -> str | None:
    """The wide encoding that a log's first bytes show, or None where one byte is one ASCII character."""
    if head[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        return "utf-32"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(head) >= 64:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if odd > len(head) * 0.35 and even < len(head) * 0.05:
            return "utf-16-le"
        if even > len(head) * 0.35 and odd < len(head) * 0.05:
            return "utf-16-be"
    return None


def clean(line: str) -> str:
    """What a terminal would show of one line in the end, cut to `LONGEST` characters from its head and tail."""
    if len(line) > LONGEST:
        line = f"{line[: LONGEST - 1000]} … {line[-900:]}"
    if "^[[" in line:
        line = _WRITTEN_OUT.sub("", line)
    if not _DIRTY.search(line):
        return line.rstrip()
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    line = line.rstrip("\r\n")
    if "\r" in line:
        line = line.split("\r")[-1] or line.replace("\r", "")
    return _CONTROLS.sub("", line).rstrip()
