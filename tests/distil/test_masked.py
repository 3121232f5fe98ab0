"""Logs of any size are masked on their way to a file, in bounded memory, and as a whole is."""

import gzip
import io
import tracemalloc

import pytest

from devops_agent.distil import redact
from devops_agent.distil.masked import masked

KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "MIIEabcdefghijklmnopqrstuvwx0123\n" * 60_000
    + "-----END RSA PRIVATE KEY-----\n"
)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_large_log_is_masked_as_a_whole_is(tmp_path, pack):
    text = "early zq9Hunter2xx\n" + "step done\n" * 200_000 + "DB_PASSWORD=zq9Hunter2xx\n" + KEY + "the end"
    counts = masked(io.BytesIO(pack(text.encode())), tmp_path / "a.log")
    shown = (tmp_path / "a.log").read_text()
    whole, found = redact(text)
    assert shown == whole
    assert counts == found
    assert "zq9Hunter2xx" not in shown
    assert "MIIE" not in shown
    assert [file.name for file in tmp_path.iterdir()] == ["a.log"]
    assert (tmp_path / "a.log").stat().st_mode & 0o77 == 0


def test_line_ends_and_line_numbers_stay(tmp_path):
    text = "one\r\n10 %\r20 %\rdone\n\n\x0bfour\nlast"
    masked(text.encode(), tmp_path / "a.log")
    assert (tmp_path / "a.log").read_bytes() == text.encode()


def test_memory_is_bounded_whatever_the_log(tmp_path):
    line = "x" * 30_000_000
    source = tmp_path / "long"
    source.write_text(line + "\n" + "short\n" * 100)
    tracemalloc.start()
    masked(source, tmp_path / "a.log")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 << 20
    assert (tmp_path / "a.log").read_text() == source.read_text()
