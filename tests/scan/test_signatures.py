"""Roles of patterns, and that a table of words finds what a plain search finds."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from devops_agent.scan import Pattern, Signatures, literals
from devops_agent.scan.text import TESTED, Text


def pattern(owner: str, number: int, role: str, source: str) -> Pattern:
    return Pattern(owner, number, role, source, literals(source))  # type: ignore[arg-type]


def found(patterns: list[Pattern], lines: list[str]) -> dict[tuple[str, int], tuple[int, ...]]:
    return {(each.pattern.owner, each.pattern.number): each.lines for each in Signatures(patterns).find(lines)}


def test_any_counts_where_it_matches() -> None:
    patterns = [pattern("disk", 0, "any", r"No space left on device"), pattern("net", 0, "any", r"Connection refused")]
    assert found(patterns, ["a", "x: No space left on device", "No space left on device"]) == {("disk", 0): (1, 2)}


def test_none_takes_away_the_line_on_which_it_matches_too() -> None:
    patterns = [pattern("disk", 0, "any", r"\bENOSPC\b"), pattern("disk", 1, "none", "inotify")]
    assert found(patterns, ["inotify_add_watch: ENOSPC"]) == {}
    assert found(patterns, ["inotify_add_watch: ENOSPC", "write: ENOSPC"]) == {("disk", 0): (1,)}


def test_all_must_match_somewhere() -> None:
    patterns = [pattern("lock", 0, "any", r"state lock"), pattern("lock", 1, "all", r"Lock Info:")]
    assert found(patterns, ["Error acquiring the state lock"]) == {}
    assert found(patterns, ["Error acquiring the state lock", "Lock Info:"]) == {("lock", 0): (0,), ("lock", 1): (1,)}


def test_a_pattern_without_literals_is_tried_on_each_line() -> None:
    assert found([pattern("x", 0, "any", r"^\d+$")], ["a", "12"]) == {("x", 0): (1,)}


def test_only_expressions_whose_literals_stand_on_one_line_are_compiled() -> None:
    signatures = Signatures([pattern("x", 0, "any", r"port \d+ is already in use")])
    assert signatures.find(["port 1", "is already in use"]) == []
    assert signatures._compiled == {}


def test_fingerprint_changes_with_the_patterns() -> None:
    one, two = (Signatures([pattern("x", 0, "any", source)]) for source in ("abc", "abd"))
    assert one.fingerprint == Signatures([pattern("y", 0, "any", "abc")]).fingerprint != two.fingerprint


def test_anchors_are_telling_and_hold_no_other() -> None:
    patterns = [
        pattern("a", 0, "any", "no space left"),
        pattern("b", 0, "any", "no space left on device"),
        pattern("c", 0, "any", "abc"),
    ]
    assert Signatures(patterns).anchors() == ["no space left"]


WORDS = st.lists(
    st.sampled_from(["transport", "port", "already", "in-use", "user", "x", "ENOSPC.", "é", "İn"]), max_size=30
)


@settings(max_examples=200, deadline=None)
@given(
    WORDS,
    st.sampled_from(["port already", "already in", "port", "se user", "enospc", "port  x", "sport a", "in-us", "é x"]),
)
def test_the_table_of_words_answers_like_a_search(words: list[str], literal: str) -> None:
    filler = ["line of nothing at all"] * 500
    text = Text([" ".join(words), *filler])
    assert len(text.lower) > 8000
    assert text.holds(literal) == (literal in text.lower)
    expected = [number for number, line in enumerate(text.folded) if literal in line]
    assert text.where([(literal,)]) == expected


def test_hits_do_not_depend_on_the_size_of_the_text() -> None:
    patterns = [pattern("a", 0, "any", r"(?P<path>/\S+): Permission denied")]
    lines = ["ok " + "word " * 20] * 600 + ["cp: /etc/x: Permission denied"]
    assert found(patterns, lines) == {("a", 0): (600,)}
    assert re.search(patterns[0].source, lines[-1])


def test_of_a_string_on_very_many_lines_the_first_and_last_are_looked_at() -> None:
    text = Text([f"error {number}" for number in range(3 * TESTED)])
    assert text.where([("error",)]) == [*range(TESTED), *range(2 * TESTED, 3 * TESTED)]
