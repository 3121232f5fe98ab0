# ruff: noqa: E501  the pieces stand as they are
"""No input crashes the stage, hangs it, or gets a number wrong."""

import gzip
import lzma
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from devops_agent.distil import distil_source, redact
from devops_agent.distil.clean import clean, decode
from devops_agent.distil.formats import message
from devops_agent.distil.mask import shape
from devops_agent.distil.packed import archived, compressed
from devops_agent.distil.redact import Redactor
from devops_agent.distil.stored import _OTHERS
from devops_agent.errors import RequestError
from devops_agent.model import Evidence
from devops_agent.scan import Pattern, Signatures, literals

SOURCES = [r"(?P<path>/\S+): No such file", r"error: .{0,40}", r"^\d+$"]
SIGNATURES = Signatures(
    [Pattern("x", number, "any", source, literals(source)) for number, source in enumerate(SOURCES)]
)
PIECES = st.sampled_from(
    [
        "error: ", "FAILED", "\n", "\n\n", "\r", "\r\n", "\x1b[31m", "\x1b]0;", "\x1b", "\0", "##[error]", "##[group]Run x", "##[endgroup]",
        "Process completed with exit code 1", 'The command "make" exited with 1.', '" exited with 2.', "Traceback (most recent call last):",
        '{"msg":"', '"}', "{" * 50, "[" * 200, "/a/b: No such file", "password=", "-----BEGIN RSA PRIVATE KEY-----", "https://u:p@h/", "::error::",
        "é", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "x" * 300, " " * 100, "\t", "0 errors", "2026-01-02T03:04:05Z ", "travis_fold:start:a\r",
        "at a.b(C.java:1)", "Caused by: ", "12", "$ make", "=" * 80, "\u2028", "\x85",
    ]
)  # fmt: skip
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=60).map("".join)
CALM = settings(suppress_health_check=[HealthCheck.too_slow])


def check(data: bytes, lines: int) -> None:
    found = distil_source(data, SIGNATURES, lines=lines)
    assert len(found.evidence) <= lines
    raw = decode(data).split("\n")
    numbers = [item.line for item in found.evidence]
    assert numbers == sorted(set(numbers))  # type: ignore[type-var]
    for item in found.evidence:
        assert item.line is not None
        assert 1 <= item.line <= len(raw)
        if "[redacted" not in item.text:
            assert item.text == clean(raw[item.line - 1])
    assert all(1 <= line <= found.lines_read for hit in found.hits for line in hit.lines)


def distilled(data: bytes, lines: int) -> tuple[Evidence, ...]:
    """The excerpt; none where an archive is refused because nothing of it can be read, or a picture."""
    if compressed(data[:4096]) is None and not any(map(data.startswith, _OTHERS)):
        return distil_source(data, SIGNATURES, lines=lines).evidence
    with suppress(RequestError):
        return distil_source(data, SIGNATURES, lines=lines).evidence
    return ()


@CALM
@given(TEXTS, st.integers(1, 60))
def test_any_text(text: str, lines: int) -> None:
    check(text.encode("utf-8", "replace"), lines)


@CALM
@given(st.binary(max_size=3000), st.integers(1, 60))
def test_any_bytes(data: bytes, lines: int) -> None:
    assume(archived(data) is None)  # that is no log, and is refused
    assert len(distilled(data, lines)) <= lines


@CALM
@given(TEXTS, st.sampled_from([gzip.compress, lzma.compress]), st.integers(0, 200))
def test_archives_broken_anywhere(text: str, pack: object, cut: int) -> None:
    packed = pack(text.encode("utf-8", "replace"))  # type: ignore[operator]
    found = distilled(packed[: max(0, len(packed) - cut)], 50)
    assert cut or found == distilled(text.encode("utf-8", "replace"), 50)


@CALM
@given(TEXTS)
def test_masking_is_stable_and_keeps_lines(text: str) -> None:
    masked, counts = redact(text)
    assert masked.count("\n") == text.count("\n")
    again, more = redact(masked)
    assert again == masked
    assert (masked == text) == (not counts)
    assert not more


@CALM
@given(TEXTS)
def test_messages_and_shapes_of_anything(text: str) -> None:
    for line in text.split("\n"):
        cleaned = clean(line)
        assert "\n" not in message(cleaned).text
        assert shape(shape(cleaned)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "a" * 2_000_000,
        "error: " * 200_000,
        "/" * 500_000,
        "\r" * 500_000,
        "\x1b[" * 300_000,
        '{"a":' * 100_000 + "}",
        "[" * 100_000 + "]",
        "password" * 60_000,
        "://" * 200_000,
        "a.b." * 100_000 + "Error",
        "a::" * 100_000,
        " " * 500_000 + "x",
        "x-" * 250_000,
        "1:" * 250_000,
        'The command "' * 30_000,
        ('" exited with 1.\n' * 20_000),
        ("error\n" * 150_000),
        ("at " * 200_000),
        ("-----BEGIN " * 50_000),
        ("^~" * 200_000),
        ("5432:" * 100_000),
    ],
    ids=lambda text: text[:12],
)
def test_nothing_takes_long(text: str) -> None:
    begun = time.process_time()
    distil_source(text.encode(), SIGNATURES)
    Redactor().text(text[:200_000])
    assert time.process_time() - begun < 8
