"""Lines looked up one by one match what a search through the whole text matches, remembered or not."""

import re

from devops_agent.scan import Pattern, Signatures, literals
from devops_agent.scan.index import Index
from devops_agent.scan.memory import SHORT
from devops_agent.scan.text import TESTED

SOURCES = (
    ("any", r"error: port (?P<port>\d+)"),
    ("none", r"dry run"),
    ("any", r"^\d+$"),
    ("all", r"exit (?:code|status) 1"),
)


def signatures() -> Signatures:
    return Signatures([Pattern("r", n, role, source, literals(source)) for n, (role, source) in enumerate(SOURCES)])  # type: ignore[arg-type]


def prepared() -> Signatures:
    made = signatures()
    made.prepare()
    return made


def test_roles_are_resolved_as_in_a_whole_text() -> None:
    for lines in (
        ["error: port 80", "dry run: error: port 81", "exit code 1", "12", "Error: port 82"],
        ["error: port 80", "12"],
        ["dry run: error: port 80", "exit status 1"],
        ["error: port x", "exit status 1"],
        [],
    ):
        assert prepared().find(lines) == signatures().find(lines)


def test_the_second_time_it_is_remembered_and_the_same() -> None:
    made = prepared()
    lines = ["error: port 80", "12", "exit code 1", "x" * SHORT + " error: port 99"]
    first = made.find(lines)
    assert [each.lines for each in first] == [(0, 3), (1,), (2,)]
    made._compiled.clear()
    assert made.find(lines) == first
    assert set(made._compiled) == {0, 2}, "only the long line was searched again, by what may stand in it"


def test_a_pattern_with_an_error_in_it_is_found_by_its_rarer_words() -> None:
    source = r"error (?:in|at) the frobnicator"
    index = Index([Pattern("r", 0, "any", source, literals(source))], lambda _: re.compile(source))
    assert set(index._keyed) == {" the frobnicator"}
    assert index.matching("error in the frobnicator") == [0]
    assert index.matching("error at the other") == []


def test_a_text_of_very_many_lines_is_searched_as_a_whole() -> None:
    made = prepared()
    lines = ["error: port 80"] * (2 * TESTED + 10) + ["exit code 1"]
    assert made.find(lines) == signatures().find(lines)
    assert len(made.find(lines)[0].lines) == 2 * TESTED
