"""A log with its secrets masked, written to a file piece by piece: memory stays bounded however large the log is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from devops_agent.distil.clean import decode
from devops_agent.distil.packed import PIECE
from devops_agent.distil.redact import Redactor
from devops_agent.distil.stored import Source, Stored


def masked(source: Source, file: Path) -> dict[str, int]:
    """Write the log's text to the file, expanded, decoded and masked; gives the number of secrets by kind.

    A secret that is recognised late is masked wherever it stood before, in a second pass. The file is for its owner.
    """
    redactor = Redactor()
    part = file.with_suffix(".part")
    try:
        with Stored(source) as stored:
            _write(part, (_piece(redactor, text) for text in _texts(stored)))
        if redactor.repeatable:
            with Stored(part) as stored:
                _write(file, (redactor.again(text) for text in _texts(stored)))
        else:
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return dict(redactor.counts)


def _piece(redactor: Redactor, text: str) -> str:
    """Without the last line's end: behind it no line of this piece begins."""
    return redactor.piece(text[:-1]) + "\n" if text.endswith("\n") else redactor.piece(text)


def _write(file: Path, texts: Iterator[str]) -> None:
    file.touch(mode=0o600)
    with file.open("w", encoding="utf-8", errors="surrogatepass", newline="") as out:
        out.writelines(texts)


def _texts(stored: Stored) -> Iterator[str]:
    """Whole lines of at least a piece each; a line that is longer than several pieces is cut."""
    offset, rest = 0, b""
    while piece := stored.read(offset, PIECE):
        offset += len(piece)
        end = piece.rfind(b"\n") + 1
        if not end and len(rest) < 4 * PIECE:
            rest += piece
            continue
        end = end or len(piece)
        yield decode(rest + piece[:end])
        rest = piece[end:]
    if rest:
        yield decode(rest)
