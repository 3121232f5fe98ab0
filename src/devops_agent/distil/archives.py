"""ZIP and tar archives of logs, as CI systems and support tools hand them out: their texts one after the other.

Nothing is written under the names that stand in an archive. Each text begins with a line that names it. Of GitHub's
archives, which hold every job whole (`0_build.txt`) and once more step by step (`build/1_Set up job.txt`), the whole
jobs are read.
"""

from __future__ import annotations

import lzma
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BufferedReader
from typing import IO, Any, cast

from devops_agent.distil.clean import encoding
from devops_agent.distil.packed import Readable, chain, compressed, expanded, in_pieces, narrow
from devops_agent.errors import RequestError

MOST_FILES = 5000
"""Files of an archive that are read at most."""
LISTING = 1 << 20
"""Bytes that the list of a ZIP archive's files may have: some ten thousand files."""
HELD = 1 << 21
"""Bytes of a ZIP archive that are held in memory; more lies in a temporary file. Its list stands at its end."""
_WHOLE_JOB = re.compile(r"[0-9]+_(?P<job>[^/]+)\.txt")
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, tarfile.TarError, ValueError)

LOST = 4096
"""Bytes that are read of a tar archive at a time: so many are lost at most at the end of one that breaks off."""

Texts = Iterator[tuple[str, Iterator[bytes]]]
"""Names and contents, in order; each content is read before the next name is asked for."""


def texts(kind: str, pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """All texts of an archive in UTF-8. Raises RequestError where there is none, or what has more bytes than `most`."""
    some = False
    found = _zipped(_held(pieces, most)) if kind == "zip" else _tarred(pieces)
    try:
        for name, content in found:
            first = next(content, b"")
            if _is_text(first):
                some = True
                yield from _headed(name, narrow(chain(first, content), encoding(first[:4096])))
    except _BROKEN:
        pass  # what came before it is still worth reading
    if not some:
        raise RequestError(f"log: there is no text in this {kind} archive that can be read")


def _headed(name: str, content: Iterable[bytes]) -> Iterator[bytes]:
    if name:
        yield f"===== {' '.join(name.split())} =====\n".encode("utf-8", "replace")
    last = b"\n"
    for piece in content:
        yield piece
        last = piece[-1:] or last
    if last != b"\n":
        yield b"\n"


def _held(pieces: Iterator[bytes], most: int) -> IO[bytes]:
    """The archive as a file."""
    size = 0
    held = tempfile.SpooledTemporaryFile(HELD, prefix="devops-agent-")  # noqa: SIM115  closed by who reads it
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise RequestError(f"log: more than {most >> 20} MiB")
        held.write(piece)
    return held


def _zipped(held: IO[bytes]) -> Texts:
    with held, zipfile.ZipFile(_Limited(held)) as archive:
        files = _wanted([each for each in archive.infolist() if not each.is_dir() and each.file_size])
        if any(each.flag_bits & 1 for each in files):
            raise RequestError("log: the zip archive is encrypted; give what is in it")
        for each in files:
            with archive.open(each) as content:
                yield each.filename if len(files) > 1 else "", _plain(_as_far_as_it_goes(content))


def _as_far_as_it_goes(content: IO[bytes]) -> Iterator[bytes]:
    """A file of the archive; what cannot be read of it (bz2 says so by an OSError) is left out."""
    with suppress(OSError, *_BROKEN):
        yield from in_pieces(content)


def _wanted(files: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """In the order in which a person would list them, without what is in another one anyway."""
    whole = {found["job"] for each in files if (found := _WHOLE_JOB.fullmatch(each.filename))}
    kept = [each for each in files if each.filename.partition("/")[0] not in whole]
    return sorted(kept, key=lambda each: _natural(each.filename))[:MOST_FILES]


def _natural(name: str) -> list[Any]:
    """So that 2 comes before 10."""
    return [int(part) if number % 2 else part for number, part in enumerate(re.split(r"([0-9]{1,18})", name))]


def _tarred(pieces: Iterator[bytes]) -> Texts:
    with tarfile.open(fileobj=Readable(pieces), mode="r|") as archive:  # type: ignore[call-overload]
        for number, each in enumerate(archive):
            if number >= MOST_FILES:
                return
            content = archive.extractfile(each) if each.isfile() else None
            if content is not None and not each.name.rpartition("/")[2].startswith("._"):
                raw = cast("BufferedReader", content).raw  # its buffer would lose all that it could not fill
                yield each.name, _plain(in_pieces(cast("IO[bytes]", raw), LOST))


def _plain(content: Iterator[bytes]) -> Iterator[bytes]:
    """A file of the archive, expanded where it is compressed itself."""
    first = next(content, b"")
    content = chain(first, content)
    with suppress(RequestError):  # it only begins like a compressed one
        yield from expanded(content, first[:16]) if compressed(first) else content


def _is_text(head: bytes) -> bool:
    return bool(head) and (b"\0" not in head[:4096] or encoding(head[:4096]) is not None)


class _Limited:
    """A file whose reader asks for the list of a ZIP archive in one piece: one that is too long is refused."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """As the file's own."""
        if size > LISTING:
            raise RequestError("log: there are too many files in this zip archive; give those that matter")
        return self._file.read(size)
