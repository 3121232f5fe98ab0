"""The index over all strings finds what a plain search finds, and changes no answer."""

from hypothesis import given, settings
from hypothesis import strategies as st

from devops_agent.scan import Pattern, Signatures, literals
from devops_agent.scan.grams import Grams

STRINGS = [
    "a",
    "é",
    "ok",
    "err",
    "port",
    "ports",
    "in use",
    "no space left",
    "space",
    "éàü",
    "://",
    "\u2713",
    "a port in",
]
TEXT = st.text(alphabet="aeprtosn ikuclf:/é\u2713àü\n", max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(STRINGS), TEXT.filter(bool)), max_size=12), TEXT, st.sampled_from(STRINGS))
def test_what_is_held_is_what_stands_there(strings: list[str], text: str, more: str) -> None:
    text = text + more
    assert Grams(strings).held(text) == {each for each in strings if each in text}


SOURCES = (
    r"port \d+ in use",
    r"(?:no space|disk full)",
    r"^\d+$",
    r"err(?:or)?s? in é",
    r"a{3}|b{2}",
    "✓ ok",
    r"[Pp]ort",
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["port 1 in use", "no space", "12", "errors in é", "aaa", "PORT", "x", "✓ ok"]), max_size=9
    )
)
def test_with_the_index_and_without(lines: list[str]) -> None:
    patterns = [
        Pattern(f"r{number % 4}", number, ("any", "any", "none", "all")[number % 3], source, literals(source))
        for number, source in enumerate(SOURCES)
    ]
    plain, prepared = Signatures(patterns), Signatures(patterns)
    prepared.prepare()
    assert prepared.find(lines) == plain.find(lines)
