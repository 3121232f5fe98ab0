"""Pattern sources that stay within a line, and patterns that are refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devops_agent.runbooks.lines import compiled, split_flags, within_line
from devops_agent.runbooks.patterns import faults


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"a\s+b", r"a[ \t]+b"),
        (r'"[^"]+"', '"[^\\n"]+"'),
        (r"[^\s]x", r"[^\n \t]x"),
        (r"[]a]", r"[\]a]"),
        (r"[^]a]", r"[^\n\]a]"),
        (r"\[x\] \\s", r"\[x\] \\s"),
        (r"\W\D", r"[^\w\n][^\d\n]"),
    ],
)
def test_a_source_is_kept_within_its_line(source: str, expected: str) -> None:
    assert within_line(source) == expected


@given(st.text(alphabet="abc \t\"'/:-=.", max_size=60))
def test_it_means_the_same_on_one_line(line: str) -> None:
    for source in (r'[^"]+\s:', r"\W+a", r"[^\s/]+\s*=\s*[^a]", r"\D\s"):
        assert bool(re.search(source, line)) == bool(re.search(within_line(source), line))


def test_nothing_crosses_a_line_end() -> None:
    assert not re.search(within_line(r'"[^"]+"\s+x'), '"a\nb" x')
    assert not re.search(within_line(r"a\s+b"), "a\nb")


def test_a_leading_flag_ignores_case() -> None:
    assert split_flags("(?i)abc") == ("abc", True)
    assert compiled("(?i)no space").search("NO SPACE")
    assert not compiled("no space").search("NO SPACE")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back-reference"),
        ("a++b", "possessive"),
        ("(?>ab)c", "atomic"),
        (".*error", "begins or ends"),
        ("error.*", "begins or ends"),
        ("(?:[ab]+)+c", "inside an unbounded"),
        ("(a", "does not compile"),
        ("a*", "empty line"),
        (r"(?P<path>[\w./-]+): broken", "too long"),
    ],
)
def test_faults_are_named(source: str, word: str) -> None:
    assert any(word in fault for fault in faults(source)), list(faults(source))


@pytest.mark.parametrize(
    "source", [r"error: (?P<path>/\S{1,200}) is gone", "(?i)no space left", r"(?:a, ?)+b{2}", "(?:xy|z)+q"]
)
def test_good_patterns_have_none(source: str) -> None:
    assert list(faults(source)) == []
