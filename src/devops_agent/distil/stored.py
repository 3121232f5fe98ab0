"""The bytes of a log, readable at any offset: a file as it lies, a small log in memory, the rest in a temporary file.

Compressed logs, archives and wide encodings are turned into plain bytes piece by piece; memory stays bounded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from devops_agent.distil.clean import encoding
from devops_agent.distil.packed import archived, chain, compressed, expanded, in_pieces, narrow
from devops_agent.errors import RequestError

SMALL = 1 << 21
"""Logs up to this size are read whole; larger ones are scanned, and only windows of them are read."""
LARGEST = 16 << 30
"""Bytes that a log may have once it is expanded: beyond lies somebody's compression bomb."""
WC_SECONDS = 120.0

_OTHERS = {
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
            pieces = in_pieces(source)
            first = next(pieces, b"")
            self._take(chain(first, pieces), first[:4096])

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
        if regular and not compressed(head) and not archived(head) and not encoding(head):
            self._file = file
            self._size = self.given = os.fstat(file.fileno()).st_size
            if self._size <= SMALL:
                self._memory = head + file.read()
                self._size = self.given = len(self._memory)
                file.close()
                self._file = None
            return
        with file:
            self._take(chain(head, in_pieces(file)), head)

    def _take(self, pieces: Iterator[bytes], head: bytes) -> None:
        """Expand, and keep in memory what is small, else in a temporary file."""
        require_text(head)
        plain = expanded(self._counted(pieces), head)
        first = next(plain, b"")
        plain = chain(first, plain)
        archive = archived(first)
        plain = self._texts(archive, plain) if archive else narrow(plain, encoding(first[:4096]))
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

    def _texts(self, archive: str, plain: Iterator[bytes]) -> Iterator[bytes]:
        from devops_agent.distil.archives import texts

        return texts(archive, plain, self._most)

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.given += len(piece)
            yield piece


def require_text(head: bytes) -> None:
    """Refuse by its first bytes what is no log: nothing in it would speak of a failure."""
    for begin, kind in _OTHERS.items():
        if head.startswith(begin):
            raise RequestError(f"log: this is {kind}, not the text of a log")
