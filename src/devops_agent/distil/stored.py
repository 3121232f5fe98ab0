"""The bytes of a log, readable at any offset: a file as it lies, a small log in memory, the rest in a temporary file.

Compressed logs and those in wide encodings are turned into plain bytes piece by piece; memory stays bounded.
"""

from __future__ import annotations

import codecs
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from devops_agent.distil.clean import encoding
from devops_agent.errors import RequestError

SMALL = 1 << 21
"""Logs up to this size are read whole; larger ones are scanned, and only windows of them are read."""
LARGEST = 16 << 30
"""Bytes that a log may have once it is expanded: beyond lies somebody's compression bomb."""
PIECE = 1 << 20
EMPTY_ARCHIVE = 64
"""Bytes that an archive of nothing may have, with a file name in its head."""
WC_SECONDS = 120.0

_OTHERS = {
    b"PK\x03\x04": "a ZIP archive (`unzip -p FILE` gives what is in it)",
    b"\x89PNG\r\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF89a": "a GIF picture",
    b"%PDF-": "a PDF file",
    b"\x7fELF": "a program",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"SQLite format 3\0": "a database",
}

Source = Path | str | bytes | BinaryIO


class Stored:
    """Plain bytes of one log. `given` is the size of what was handed in, before anything was expanded."""

    def __init__(self, source: Source, most: int = LARGEST) -> None:
        self._most = most
        self._file: BinaryIO | None = None
        self._memory = b""
        self.given = 0
        if isinstance(source, Path | str):
            self._open(Path(source))
        elif isinstance(source, bytes):
            self._take(iter([source]), source[:4096])
        else:
            pieces = _pieces(source)
            first = next(pieces, b"")
            self._take(_chain(first, pieces), first[:4096])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the plain log."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes from there, fewer at the end."""
        if self._file is None:
            return self._memory[offset : offset + length]
        return os.pread(self._file.fileno(), length, offset)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill the buffer from there; gives the number of bytes."""
        if self._file is None:
            piece = self._memory[offset : offset + len(buffer)]
            buffer[: len(piece)] = piece
            return len(piece)
        got = 0
        while got < len(buffer):
            count = os.preadv(self._file.fileno(), [buffer[got:]], offset + got)
            if count == 0:
                break
            got += count
        return got

    def counting(self) -> Callable[[], int | None]:
        """Start counting line feeds with `wc`, which is ten times as fast as Python and runs beside it.

        The answer is None where there is no `wc`, no file, or the file changed meanwhile: then they are counted here.
        """
        if self._file is None or not shutil.which("wc"):
            return lambda: None
        file, size = self._file, self._size
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        process = subprocess.Popen(["wc", "-l"], stdin=file.fileno(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

        def finish() -> int | None:
            try:
                said = process.communicate(timeout=WC_SECONDS)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return None
            unchanged = os.lseek(file.fileno(), 0, os.SEEK_CUR) == size
            return int(said) if process.returncode == 0 and said.strip().isdigit() and unchanged else None

        return finish

    def _open(self, path: Path) -> None:
        try:
            file = path.open("rb")
        except OSError as error:
            raise RequestError(f"log: cannot be read: {path}: {error.strerror}") from error
        head = file.read(4096)
        require_text(head)
        regular = path.is_file()
        if regular and not compressed(head) and not encoding(head):
            self._file = file
            self._size = self.given = os.fstat(file.fileno()).st_size
            if self._size <= SMALL:
                self._memory = head + file.read()
                self._size = self.given = len(self._memory)
                file.close()
                self._file = None
            return
        with file:
            self._take(_chain(head, _pieces(file)), head)

    def _take(self, pieces: Iterator[bytes], head: bytes) -> None:
        """Expand, and keep in memory what is small, else in a temporary file."""
        require_text(head)
        plain = expanded(self._counted(pieces), head)
        first = next(plain, b"")
        plain = _narrow(_chain(first, plain), encoding(first[:4096]))
        kept: list[bytes] = []
        size = 0
        for piece in plain:
            size += len(piece)
            if size > self._most:
                raise RequestError(f"log: more than {self._most >> 20} MiB once it is expanded")
            if self._file is None and size > SMALL:
                self._file = tempfile.TemporaryFile(prefix="devops-agent-")  # noqa: SIM115  closed in __exit__
                self._file.writelines(kept)
                kept.clear()
            if self._file is None:
                kept.append(piece)
            else:
                self._file.write(piece)
        if self._file is None:
            self._memory = b"".join(kept)
        else:
            self._file.flush()
        self._size = size

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.given += len(piece)
            yield piece


def compressed(head: bytes) -> str | None:
    """The compression that a log's first bytes show: gz, xz, zst or bz2."""
    if head[:2] == b"\x1f\x8b":
        return "gz"
    if head[:6] == b"\xfd7zXZ\x00":
        return "xz"
    if head[:4] == b"\x28\xb5\x2f\xfd":
        return "zst"
    return "bz2" if head[:3] == b"BZh" and head[4:10] == b"1AY&SY" else None


def require_text(head: bytes) -> None:
    """Refuse by its first bytes what is no log: nothing in it would speak of a failure."""
    for begin, kind in _OTHERS.items():
        if head.startswith(begin):
            raise RequestError(f"log: this is {kind}, not the text of a log")


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

    with zstandard.ZstdDecompressor().stream_reader(_Readable(pieces), read_across_frames=True) as reader:  # type: ignore[arg-type]
        while True:
            try:
                plain = reader.read(PIECE)
            except zstandard.ZstdError:
                return
            if not plain:
                return
            yield plain


_EXPANDERS = {"gz": _gunzip, "zst": _unzstd, "xz": _unxz, "bz2": _bunzip}


class _Readable:
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


def _narrow(pieces: Iterator[bytes], wide: str | None) -> Iterator[bytes]:
    """UTF-16 and UTF-32 as UTF-8; anything else as it is."""
    if wide is None:
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder(wide)("replace")
    for piece in pieces:
        yield decoder.decode(piece).removeprefix("\ufeff").encode("utf-8", "replace")
    yield decoder.decode(b"", True).encode("utf-8", "replace")


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
