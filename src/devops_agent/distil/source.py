"""Reading a log: files, bytes and streams, plain or compressed, into the lines that the later steps look at."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from devops_agent.distil.clean import clean, decode
from devops_agent.distil.formats import Message, detect, message
from devops_agent.scan import Signatures


@dataclass(slots=True)
class Text:
    """Lines of a log with their numbers (from 1) in the original. A large log has gaps: only windows are here."""

    numbers: list[int]
    lines: list[str]
    messages: list[Message]
    lines_read: int
    bytes_read: int
    format: str


def read(source: Path | str | bytes | BinaryIO, signatures: Signatures | None) -> Text:  # noqa: ARG001
    """The log behind a path, in bytes or in a stream."""
    if isinstance(source, Path | str):
        data = Path(source).read_bytes()
    elif isinstance(source, bytes):
        data = source
    else:
        data = source.read()
    size = len(data)
    raw = decode(expand(data)).split("\n")
    if raw and raw[-1] == "":
        raw.pop()
    lines = [clean(line) for line in raw]
    kind = detect([*raw[:300], *raw[-300:]])
    return Text(list(range(1, len(lines) + 1)), lines, [message(line) for line in lines], len(lines), size, kind)


def expand(data: bytes) -> bytes:
    """The content of a compressed log, by its first bytes; anything else as it is."""
    if data[:2] == b"\x1f\x8b":
        import gzip

        return gzip.GzipFile(fileobj=io.BytesIO(data)).read()
    if data[:6] == b"\xfd7zXZ\x00":
        import lzma

        return lzma.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return reader.read()
    return data
