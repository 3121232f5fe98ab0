"""From a line to a pattern: what varies is left open, few words stay, healthy logs are not hit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devops_agent.planners.generalise import candidates, pieces
from devops_agent.runbooks.lines import compiled
from devops_agent.runbooks.patterns import faults
from devops_agent.runbooks.quiet import gathered, quiet_logs

SILENT = "\n".join(quiet_logs().values())


def quiet(regex: re.Pattern[str]) -> bool:
    return regex.search(SILENT) is None


def first(line: str, **values: str) -> str:
    return next(candidates(line, {text: name for name, text in values.items()}, quiet))[0]


@pytest.mark.parametrize(
    ("line", "values", "alike", "unlike"),
    [
        (
            "ringd[311]: FATAL ring epoch 3107 in conf/app.env is behind the ledger's epoch 4711, will not join",
            {"path": "conf/app.env", "limit": "4711"},
            "ringd[9]: FATAL ring epoch 12 in other/file.env is behind the ledger's epoch 99999, will not join",
            "ringd[311]: ring epoch 4711 joined, the ledger is at 4711",
        ),
        (
            "E 2026-05-04T10:00:00Z shard 7f3a9c1e0b44 refused: lease of 10.1.2.3:9100 expired 00:00:12 ago",
            {},
            "E 2027-01-01T00:00:00Z shard 0123456789ab refused: lease of 192.168.7.8:9101 expired 10:20:30 ago",
            "shard 7f3a9c1e0b44 accepted: lease of 10.1.2.3:9100 renewed",
        ),
        (
            "frobnicate: cannot open spool /var/spool/frob/q7 for tenant acme-12",
            {"path": "/var/spool/frob/q7"},
            "frobnicate: cannot open spool /srv/x for tenant other-1",
            "frobnicate: opened spool /var/spool/frob/q7",
        ),
    ],
)
def test_its_like_is_hit_and_others_are_not(line: str, values: dict[str, str], alike: str, unlike: str) -> None:
    source = first(line, **values)
    regex = compiled(source)
    found = regex.search(line)
    assert found
    assert found.groupdict() == values
    assert regex.search(alike)
    assert not regex.search(unlike)
    assert not list(faults(source, thorough=True))


def test_few_words_stay() -> None:
    line = "frobnicate: cannot open spool /var/spool/frob/q7 for tenant acme-12 because its ledger is sealed today"
    assert len(re.findall(r"[a-z]{4,}", re.sub(r"\[[^\]]*\]|\\\w", "", first(line)))) <= 5


def test_words_of_healthy_logs_are_not_enough() -> None:
    line = next(text for text in SILENT.splitlines() if len(text.split()) > 8 and text.isascii())
    assert not list(candidates(line, {}, quiet))


@settings(max_examples=60)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=120))
def test_whatever_the_line_is_the_parts_are_the_line_and_the_patterns_are_sound(line: str) -> None:
    assert "".join(each.text for each in pieces(line, {})) == line
    for source, _ in list(candidates(line, {}, quiet))[:2]:
        assert compiled(source).search(line)
        assert not list(faults(source))


def test_the_shipped_healthy_logs_are_those_of_the_tests(request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath / "tests/cases/quiet"
    assert quiet_logs() == gathered(folder), "python -m devops_agent.runbooks.quiet tests/cases/quiet"
