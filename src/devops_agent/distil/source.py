"""Reading a log: small ones whole, large ones by one pass that finds the windows worth reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devops_agent.distil.clean import clean, decode
from devops_agent.distil.formats import Message, detect, message
from devops_agent.distil.packed import expanded
from devops_agent.distil.stored import SMALL, Source, Stored
from devops_agent.distil.windows import Piece, windows
from devops_agent.scan import Signatures

__all__ = ["Source", "Text", "expand", "read", "whole"]


@dataclass(slots=True)
class Text:
    """Lines of a log with their numbers (from 1) in the original. A large log has gaps: only windows are here."""

    numbers: list[int]
    lines: list[str]
    messages: list[Message]
    lines_read: int
    bytes_read: int
    format: str


def read(source: Source, signatures: Signatures | None) -> Text:
    """The log behind a path, in bytes or in a stream, plain or compressed."""
    with Stored(source) as stored:
        if stored.size <= SMALL:
            return _whole(stored)
        pieces, total = windows(stored, signatures)
        return _pieced(pieces, total, stored.given)


def expand(data: bytes) -> bytes:
    """The content of a compressed log, by its first bytes; anything else as it is."""
    return b"".join(expanded(iter([data]), data[:16]))


def whole(source: Source, most: int) -> str:
    """All the text of a log, expanded and decoded. Raises RequestError beyond `most` bytes of it."""
    with Stored(source, most) as stored:
        return decode(stored.read(0, stored.size))


def _whole(stored: Stored) -> Text:
    raw = decode(stored.read(0, stored.size)).split("\n")
    if raw and raw[-1] == "":
        raw.pop()
    lines = [clean(line) for line in raw]
    messages = [message(line) for line in lines]
    return Text(list(range(1, len(lines) + 1)), lines, messages, len(lines), stored.given, _format(raw))


def _pieced(pieces: Sequence[Piece], total: int, given: int) -> Text:
    """The windows one after the other, an empty line between them where something is left out."""
    numbers: list[int] = []
    lines: list[str] = []
    raw: list[str] = []
    for piece in pieces:
        part = decode(piece.data).split("\n")
        if part and part[-1] == "":
            part.pop()
        if numbers and piece.line <= numbers[-1]:
            continue
        if numbers and piece.line > numbers[-1] + 1:
            numbers.append(numbers[-1] + 1)
            lines.append("")
        raw.extend(part)
        numbers.extend(range(piece.line, piece.line + len(part)))
        lines.extend(clean(line) for line in part)
    return Text(numbers, lines, [message(line) for line in lines], total, given, _format(raw))


def _format(raw: Sequence[str]) -> str:
    return detect([line[:2000] for line in (*raw[:300], *raw[-300:])])
