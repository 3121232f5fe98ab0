"""The prefilter must never say no where the expression would match."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devops_agent.scan import literals


def allows(clauses: tuple[tuple[str, ...], ...], text: str) -> bool:
    return all(any(literal in text.lower() for literal in clause) for clause in clauses)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"No space left on device", (("no space left on device",),)),
        (r"No space left|\bENOSPC\b", (("no space left", "enospc"),)),
        (r"port (?P<port>\d+) is already in use", ((" is already in use",), ("port ",))),
        (r"\d+ \w+", ()),
        (r"(?:abc)?def", (("def",),)),
        (r"[Ee]rror: x", (("error: x",),)),
        (r"(?:\d|abc)", ()),
        (r"(abcd){2}", (("abcdabcd",),)),
        (r"Отказано|permiso denegado|拒絶", (("отказано", "permiso denegado", "拒絶"),)),
        (r"Données accord[ée]es", (("données accord",), ("es",))),
        (r"ΛΑΘΟΣ ok", (("λαθο",), (" ok",))),
        (r"Straße [İı]x", (("stra",), ("e ",))),
    ],
)
def test_clauses_of_an_expression(source: str, expected: tuple[tuple[str, ...], ...]) -> None:
    assert literals(source) == expected


PIECES = st.sampled_from(
    [
        "error",
        "Fail",
        r"\d+",
        r"(?:abc|defg)",
        r"(?P<n>[a-z]+)",
        r"\s",
        ".*",
        "(?:xyz)?",
        "[Tt]est",
        r"\b",
        "(?:ab){2,3}",
        "x+",
        "Ошибка",
        "[ÉÈ]té",
        "ΣΑΣ",
        "İß",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PIECES, min_size=1, max_size=6),
    st.lists(
        st.sampled_from(
            [
                "error",
                "FAIL",
                "abc",
                "defg",
                "12",
                " ",
                "xyz",
                "Test",
                "abab",
                "xx",
                "ошИБКА",
                "éTÉ",
                "σας",
                "ΣΑΣ",
                "İß",
            ]
        ),
        max_size=12,
    ),
)
def test_what_matches_is_let_through(pieces: list[str], words: list[str]) -> None:
    numbered = [piece.replace("?P<n>", f"?P<n{number}>") for number, piece in enumerate(pieces)]
    source, text = "".join(numbered), "".join(words)
    for flags in (0, re.IGNORECASE):
        if re.search(source, text, flags):
            assert allows(literals(source), text)
