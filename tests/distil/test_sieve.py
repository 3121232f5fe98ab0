"""A large text is masked exactly as line by line, although only lines that may hold a secret are looked at."""

import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devops_agent.distil import sieve
from devops_agent.distil.masked import masked
from devops_agent.distil.redact import Redactor
from devops_agent.distil.secrets import RULES
from devops_agent.scan.relaxed import NotTaken, relaxed

pytest.importorskip("hyperscan")
module = sys.modules["devops_agent.distil.redact"]

PARTS = [
    "password=", "hunter2abc!", "token: ", "AKIA", "ABCDEFGHIJKLMNOP", "ghp_" + "x" * 36, "https://", "user:pa55@host/",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abcd", "-p", "mysql ", "curl -u ", "a:bcd", " -H 'Authorization: Bearer ",
    "abc123def456ghi7", "\\n", "\\t", '"', "'", "é", "\x1c", " ", "=", ":", "SECRET_KEY", "=> ",
    "--password ", "\t", "\r",
    "-----BEGIN RSA PRIVATE KEY-----", "MIIEowIBAAKCAQEA0000000000", "-----END RSA PRIVATE KEY-----", "?token=",
    "machine x login y password z1z2", "aws_secret_access_key", "&sig=abcdef123", "postgres://u:p4ss@h:5432/d",
    "db.host:5432:app:me:s3cr3tpw", "ENV API_KEY abcd1234", "bot123456789:AA" + "b" * 33, "identified by 'xx yy'",
    "_auth=", '"auth": "YWJjZGVmZ2g="', "ſecret=abcdefgh1", "TOKEN\u212aEY", "x" * 300, "ü" * 130, "a plain word",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _paid(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(sieve, "_seen", sieve.WORTH)
    monkeypatch.setattr(sieve, "compiled_folder", tmp_path_factory.getbasetemp)


def both(text: str, own: tuple[str, ...] = ()) -> None:
    """The text masked both ways, and all that the redactors know afterwards."""
    seen = []
    for large in (0, len(text) + 1):
        module._LARGE = large
        redactor = Redactor(own)
        once = redactor.piece(text)
        seen.append((once, redactor.again(once), redactor.counts, redactor._known, redactor._block))
    assert seen[0] == seen[1]


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    monkeypatch.setattr(module, "_LARGE", module._LARGE)


def test_synthetic_lines() -> None:
    chance = random.Random(7)
    for _ in range(150):
        lines = ("".join(chance.choices(PARTS, k=chance.randint(0, 7))) for _ in range(chance.choice([1, 4, 60])))
        both("\n".join(lines))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=6), st.just("\n")), max_size=40))
def test_any_text(parts: list[str]) -> None:
    both("".join(parts))


def test_own_expressions_are_sifted_too() -> None:
    both("order ACME-12345 ok\nnothing\nACME-9 INIT-INIT", (r"ACME-\d{4,}", r"(?<!x)(INIT)-(?:\1|\d+)"))


def test_real_lines() -> None:
    for file in sorted(Path(__file__).parents[1].rglob("test_*.py"))[:60]:
        both(file.read_text())


def test_most_lines_are_not_looked_at() -> None:
    lines = [f"2026-01-01 12:00:0{number % 10} INFO module{number} – done in {number} ms" for number in range(1000)]
    lines[500] = "export DB_PASSWORD=hunter2abc"
    made = sieve.sieve([rule.source for rule in RULES], 0)
    assert made is not None
    raw = "\n".join(lines).encode()
    assert [raw[start:stop].decode() for start, stop, _ in made.lines(raw)] == [lines[500]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_every_rule_is_taken(rule) -> None:
    source, _ = relaxed(rule.source)
    re.compile(source)


@pytest.mark.parametrize("source", [r"a?", r"[^\W]x", r"(?=a)", r"(a|b*)"])
def test_what_is_not_taken(source: str) -> None:
    with pytest.raises(NotTaken):
        relaxed(source)


def test_a_file_is_masked_as_its_text(tmp_path) -> None:
    words = ["password=hunter2abc!", "hunter2abc! again", *(f"é line {number}" for number in range(200_000))]
    source, file = tmp_path / "log", tmp_path / "masked"
    source.write_text("\n".join(words) + "\n")
    counts = masked(source, file)
    text = file.read_text()
    assert text.splitlines()[2:] == words[2:]
    assert text.startswith("password=[redacted:assigned:1]\n[redacted:assigned:1] again\n")
    assert counts == {"assigned": 2}
