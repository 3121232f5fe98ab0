"""Results fit into a conversation, whatever was found."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from devops_agent.mcp.capped import MOST, capped

VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5), st.integers(200, 2000))
def test_never_more_than_was_asked_for(value: dict[str, object], most: int) -> None:
    made = capped(value, most)
    assert len(json.dumps(made, ensure_ascii=False)) <= most + 200
    json.dumps(made)


def test_what_fits_is_left_alone_and_what_does_not_says_so() -> None:
    small = {"a": [1, 2], "b": "x"}
    assert capped(small) == small
    large = capped({"log": "x" * 100_000, "rows": list(range(5000)), "id": "job_1"})
    assert large["cut"] is True
    assert large["id"] == "job_1"
    assert "left out" in large["log"]
    assert len(json.dumps(large)) <= MOST
    deep = capped({"all": {str(number): "y" * 3000 for number in range(400)}})
    assert len(json.dumps(deep)) <= MOST
