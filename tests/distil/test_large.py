"""Logs that are scanned instead of read."""

import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from devops_agent.distil import distil_source
from devops_agent.distil.packed import PIECE, expanded
from devops_agent.distil.stored import SMALL, Stored
from devops_agent.errors import RequestError
from devops_agent.scan import Pattern, Signatures, literals

SOURCE = r"could not reserve (?P<size>\d+) bytes of shared memory"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 MB; the cause at one third, the failed end of the step at two thirds, and noise around them."""
    path = tmp_path_factory.mktemp("large") / "big.log"
    maker = random.Random(1)
    words = ["fetch", "build", "link", "copy", "module", "cache", "layer", "shop", "cart", "order"]
    noise = ["".join(f"{maker.choice(words)}-{number} " for _ in range(9)) + "\n" for number in range(500)]
    with path.open("w") as file:
        for block in range(900):
            if block == 300:
                file.write("could not reserve 4096 bytes of shared memory\n")
            if block == 600:
                file.write("Traceback (most recent call last):\n  File 'a.py', line 1\nValueError: bad order\n")
                file.write("##[error]Process completed with exit code 1.\n")
            file.writelines(noise)
    return path


def signatures(folder: Path) -> Signatures:
    return Signatures([Pattern("memory", 0, "any", SOURCE, literals(SOURCE))], folder / "compiled")


def test_windows_hold_what_matters_with_right_numbers(log: Path, tmp_path: Path) -> None:
    found = distil_source(log, signatures(tmp_path), lines=50)
    with log.open() as file:
        raw = file.read().split("\n")
    assert log.stat().st_size > 10 * SMALL
    assert found.lines_read == len(raw) - 1
    assert found.bytes_read == log.stat().st_size
    for item in found.evidence:
        assert item.line is not None
        assert item.text == raw[item.line - 1].rstrip()
    assert "ValueError: bad order" in [item.text for item in found.evidence]
    (hit,) = found.hits
    assert hit.groups == {"size": "4096"}
    assert hit.lines == (300 * 500 + 1,)
    assert found.failing


def test_a_stream_and_a_compressed_stream_give_the_same(log: Path, tmp_path: Path) -> None:
    plain = distil_source(log, signatures(tmp_path), lines=30)
    packed = gzip.compress(log.read_bytes(), 1)
    streamed = distil_source(io.BytesIO(packed), signatures(tmp_path), lines=30)
    assert streamed.evidence == plain.evidence
    assert streamed.hits == plain.hits
    assert (streamed.lines_read, streamed.bytes_read) == (plain.lines_read, len(packed))


def test_one_endless_line(tmp_path: Path) -> None:
    path = tmp_path / "minified.js"
    path.write_bytes(b"x" * (3 * SMALL))
    found = distil_source(path, signatures(tmp_path))
    assert found.lines_read == 1
    assert len(found.evidence) <= 1
    assert all(len(item.text) < 5000 for item in found.evidence)


def test_only_line_feeds(tmp_path: Path) -> None:
    found = distil_source(b"\n" * (SMALL + 10), signatures(tmp_path))
    assert (found.lines_read, found.evidence) == (SMALL + 10, ())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_log(log: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from devops_agent.distil import distil_source;"
        "from devops_agent.scan import Signatures; distil_source(Path(sys.argv[1]), Signatures([], Path(sys.argv[2])));"
        "print(Path('/proc/self/status').read_text())"
    )
    command = [sys.executable, "-c", script, str(log), str(tmp_path / "c")]
    out = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout
    (peak,) = [int(line.split()[1]) for line in out.splitlines() if line.startswith("VmHWM")]
    assert peak * 1024 < 120e6


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstandard.compress])
def test_a_bomb_is_refused_piece_by_piece(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(bytes(64 << 20))
    assert max(map(len, expanded(iter([packed]), packed[:16]))) <= PIECE
    with pytest.raises(RequestError, match="log: more than"):
        Stored(packed, most=5 << 20)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstandard.compress])
def test_several_archives_one_after_the_other(pack: Callable[[bytes], bytes]) -> None:
    with Stored(io.BytesIO(pack(b"a\n" * 9) + pack(b"b\n"))) as log:
        assert log.read(0, 100) == b"a\n" * 9 + b"b\n"


def test_an_archive_that_breaks_off_gives_what_there_is() -> None:
    packed = gzip.compress(b"line one\n" * 10_000)
    with Stored(packed[: len(packed) // 2]) as log:
        assert log.size > 0


def test_line_feeds_are_counted_beside_and_not_believed_of_a_log_that_grew(tmp_path: Path) -> None:
    path = tmp_path / "growing.log"
    path.write_bytes(b"line\n" * 1_000_000)
    with Stored(path) as log:
        assert log.counting()() in (1_000_000, None)
        with path.open("ab") as file:
            file.write(b"more\n")
        assert log.counting()() is None
    found = distil_source(path, signatures(tmp_path))
    assert found.lines_read == 1_000_001


def test_without_wc_the_numbers_are_the_same(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = distil_source(log, signatures(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert distil_source(log, signatures(tmp_path)) == usual


@pytest.mark.parametrize(
    ("begin", "kind"),
    [(b"7z\xbc\xaf\x27\x1c", "7z archive"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"\x7fELF\x02", "program")],
)
def test_what_is_no_text_is_no_log_in_which_nothing_failed(tmp_path: Path, begin: bytes, kind: str) -> None:
    file = tmp_path / "screen"
    file.write_bytes(begin + bytes(range(256)))
    for source in (file, file.read_bytes(), io.BytesIO(file.read_bytes())):
        with pytest.raises(RequestError, match=f"log: this is a {kind}"):
            Stored(source)
