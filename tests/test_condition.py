"""Conditions: what holds, what fails, and what cannot be known."""

import pytest

from devops_agent.condition import Unbound, bind, parse, references

SEEN = {"usage": {"percent": 96, "path": "/var", "tags": ["a", "b"]}, "name": "web"}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("usage.percent >= 95", True),
        ("usage.percent < 95", False),
        ("usage.path == '/var'", True),
        ('usage.path != "/var"', False),
        ("usage.tags contains 'a'", True),
        ("usage.tags.1 == 'b'", True),
        ("name in ['web', 'api']".replace("'", '"'), True),
        ("usage.percent == $usage.percent", True),
        ("usage.inodes >= 95", None),
        ("other.percent >= 95", None),
        ("usage.path >= 3", None),
        ("usage.percent == $other.percent", None),
    ],
)
def test_what_holds(text, held):
    assert parse(text).holds(SEEN) is held


@pytest.mark.parametrize("text", ["usage.percent", "a.b >= ", "a.b ~ 3", "a.b == bare word", "a.b >= 3; import os"])
def test_what_is_no_condition(text):
    with pytest.raises(ValueError, match=r"not a condition|not a literal"):
        parse(text)


def test_binding_replaces_whole_values_only():
    args = {"path": "$usage.path", "text": "rm $usage.path", "list": ["$name"]}
    assert bind(args, SEEN) == {"path": "/var", "text": "rm $usage.path", "list": ["web"]}
    assert references(args) == {"usage", "name"}
    with pytest.raises(Unbound):
        bind("$missing.field", SEEN)
