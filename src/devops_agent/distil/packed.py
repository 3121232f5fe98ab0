"""Bytes of a log as they come: compressed, in a wide encoding, or plain; turned into plain UTF-8 piece by piece."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import IO, Any

from devops_agent.errors import RequestError

PIECE = 1 << 20
EMPTY_ARCHIVE = 64
"""Bytes that an archive of nothing may have, with a file name in its head."""
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def compressed(head: bytes) -> str | None:
    """The compression that a log's first bytes show: gz, xz, zst or bz2."""
    if head[:2] == b"\x1f\x8b":
        return "gz"
    if head[:6] == b"\xfd7zXZ\x00":
        return "xz"
    if head[:4] == b"\x28\xb5\x2f\xfd":
        return "zst"
    return "bz2" if head[:3] == b"BZh" and head[4:10] == b"1AY&SY" else None


def archived(head: bytes) -> str | None:
    """The kind of archive that the first bytes show: zip or tar."""
    if head.startswith(_ZIP):
        return "zip"
    return "tar" if head[257:262] == b"ustar" else None


def expanded(pieces: Iterator[bytes], head: bytes) -> Iterator[bytes]:
    """The plain bytes, piece by piece. A log that breaks off in the middle gives what there is of it.

    Raises RequestError where nothing of it can be read: that is not an empty log, in which nothing failed.
    """
    kind = compressed(head)
    if kind is None:
        yield from pieces
        return
    start = b""

    def counted() -> Iterator[bytes]:
        nonlocal start
        for piece in pieces:
            start += piece[: EMPTY_ARCHIVE + 1 - len(start)]
            yield piece

    some = False
    for plain in _EXPANDERS[kind](counted()):
        some = some or bool(plain)
        yield plain
    if not some and (len(start) > EMPTY_ARCHIVE or not _ends(kind, start)):
        raise RequestError(f"log: it begins like a {kind} file, but nothing of it can be expanded")


def _ends(kind: str, data: bytes) -> bool:
    """Whether a small archive has its end, so that there really is nothing in it."""
    import bz2
    import lzma
    import zlib

    import zstandard

    made: dict[str, Callable[[], Any]] = {
        "gz": lambda: zlib.decompressobj(31),
        "xz": lzma.LZMADecompressor,
        "bz2": bz2.BZ2Decompressor,
        "zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
    }
    worker = made[kind]()
    try:
        worker.decompress(data)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, zstandard.ZstdError):
        return False
    return bool(worker.eof)


def _unxz(pieces: Iterator[bytes]) -> Iterator[bytes]:
    import lzma

    yield from _decompressed(pieces, lzma.LZMADecompressor, (lzma.LZMAError, EOFError))


def _bunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    import bz2

    yield from _decompressed(pieces, bz2.BZ2Decompressor, (OSError, EOFError))


def _gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """All members of a gz file, in bounded pieces."""
    import zlib

    worker = zlib.decompressobj(31)
    for piece in pieces:
        data = piece
        while data:
            try:
                yield worker.decompress(data, PIECE)
            except zlib.error:
                return
            data = worker.unconsumed_tail
            if worker.eof:
                data = worker.unused_data.lstrip(b"\0")
                worker = zlib.decompressobj(31)


def _decompressed(
    pieces: Iterator[bytes], new: Callable[[], Any], broken: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """All frames of an xz or bz2 file, in bounded pieces however much a few bytes expand to."""
    worker = new()
    for piece in pieces:
        data = piece
        while True:
            try:
                plain = worker.decompress(data, PIECE)
            except broken:
                return
            if plain:
                yield plain
            if worker.eof:
                data = worker.unused_data
                worker = new()
                if not data:
                    break
            elif worker.needs_input:
                break
            else:
                data = b""


def _unzstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """All frames of a zst file, in bounded pieces."""
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(Readable(pieces), read_across_frames=True) as reader:  # type: ignore[arg-type]
        while True:
            try:
                plain = reader.read(PIECE)
            except zstandard.ZstdError:
                return
            if not plain:
                return
            yield plain


_EXPANDERS = {"gz": _gunzip, "zst": _unzstd, "xz": _unxz, "bz2": _bunzip}


class Readable:
    """Pieces as something to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def narrow(pieces: Iterator[bytes], wide: str | None) -> Iterator[bytes]:
    """UTF-16 and UTF-32 as UTF-8; anything else as it is."""
    if wide is None:
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder(wide)("replace")
    for piece in pieces:
        yield decoder.decode(piece).removeprefix("\ufeff").encode("utf-8", "replace")
    yield decoder.decode(b"", True).encode("utf-8", "replace")


def in_pieces(stream: IO[bytes], size: int = PIECE) -> Iterator[bytes]:
    """A stream in bounded pieces."""
    while piece := stream.read(size):
        yield piece


def chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """A piece before the others, unless it is empty."""
    if first:
        yield first
    yield from rest
