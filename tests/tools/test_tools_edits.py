"""Editors: what is asked for changes, nothing else does, and editing twice is editing once."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from devops_agent.errors import BadArguments
from devops_agent.tools import edits, quantities

ENV = "# shop\nexport PORT=8000\nNAME='a b' # who\nEMPTY=\n\nPORT=9000 # the one that counts\n"
INI = "; main\n[server]\nport = 80\n\n[client]\nport=1 ; one\n"
UNIT = "[Unit]\nDescription=Shop\n\n[Service]\nExecStart=/usr/bin/shop --port=80\nTimeoutStartSec=90\n"
NGINX = """http {
  server {
    listen 80; # public
    location / {
      proxy_pass http://127.0.0.1:8000;
    }
  }
}
"""
REDIS = "# limits\nmaxmemory 64mb\nsave 60 1\nappendonly no\n"
YAML = """jobs:
  build: # main
    timeout-minutes:   5
    on: true
    steps:
      - run: 'make  test'
  other: {a: 1, b: 'x'}
"""
TOML = '# project\n[tool.pytest]\ntimeout = 5 # seconds\nname = "x"\n'
JSON = '{\n    "scripts": {"test": "jest --ci"},\n    "list": [1, 2],\n    "timeout": 5\n}\n'


@pytest.mark.parametrize(
    ("form", "text", "key", "value", "old", "new"),
    [
        ("env", ENV, "PORT", 9100, "PORT=9000 # the", "PORT=9100 # the"),
        ("env", ENV, "NAME", "c d", "NAME='a b' # who", "NAME='c d' # who"),
        ("env", ENV, "EMPTY", "it's $5", "EMPTY=\n", 'EMPTY="it\'s \\$5"\n'),
        ("ini", INI, "client.port", 2, "port=1 ; one", "port=2 ; one"),
        ("ini", UNIT, "Service.TimeoutStartSec", "5min", "TimeoutStartSec=90", "TimeoutStartSec=5min"),
        (
            "directive",
            NGINX,
            "http.server.location.proxy_pass",
            "http://127.0.0.1:9",
            "http://127.0.0.1:8000",
            "http://127.0.0.1:9",
        ),
        ("directive", NGINX, "listen", "8080", "listen 80; # public", "listen 8080; # public"),
        ("words", REDIS, "maxmemory", "128mb", "maxmemory 64mb", "maxmemory 128mb"),
        ("yaml", YAML, "jobs.build.timeout-minutes", 10, "timeout-minutes:   5", "timeout-minutes:   10"),
        ("yaml", YAML, "jobs.build.steps.0.run", "make all", "'make  test'", "'make all'"),
        ("yaml", YAML, "jobs.other.a", 2, "{a: 1,", "{a: 2,"),
        ("toml", TOML, "tool.pytest.timeout", 10, "timeout = 5 # seconds", "timeout = 10 # seconds"),
        ("json", JSON, "timeout", 10, '"timeout": 5', '"timeout": 10'),
        ("json", JSON, "scripts.test", "jest", '"jest --ci"', '"jest"'),
    ],
)
def test_one_value_changes_and_nothing_else(form: str, text: str, key: str, value: Any, old: str, new: str) -> None:
    after = edits.edit(form, text, {"key": key, "value": value})
    assert after == text.replace(old, new)
    assert edits.edit(form, after, {"key": key, "value": value}) == after


@pytest.mark.parametrize(
    ("form", "text", "key", "added"),
    [
        ("env", ENV, "NEW_ONE", "NEW_ONE=7\n"),
        ("env", "A=1", "NEW_ONE", "\nNEW_ONE=7\n"),
        ("words", REDIS, "timeout", "timeout 7\n"),
        ("ini", INI, "new.key", "\n[new]\nkey = 7\n"),
    ],
)
def test_what_is_not_there_is_appended(form: str, text: str, key: str, added: str) -> None:
    assert edits.edit(form, text, {"key": key, "value": 7}) == text + added


def test_a_new_key_goes_into_its_section() -> None:
    after = edits.edit("ini", INI, {"key": "server.host", "value": "::1"})
    assert after == INI.replace("port = 80\n", "port = 80\nhost = ::1\n")


def test_a_new_key_goes_into_its_mapping() -> None:
    after = edits.edit("yaml", YAML, {"key": "jobs.build.retries", "value": 3})
    assert yaml.safe_load(after)["jobs"]["build"] == {**yaml.safe_load(YAML)["jobs"]["build"], "retries": 3}
    assert "# main" in after
    after = edits.edit("yaml", YAML, {"key": "jobs.other.c", "value": 3})
    assert "{a: 1, b: 'x', c: 3}" in after


@pytest.mark.parametrize("form", ["env", "ini", "words", "directive"])
@pytest.mark.parametrize("evil", ["a\nEVIL=1", "a\rb", "a\0b", "x\u2028y"])
def test_a_value_cannot_bring_lines_of_its_own(form: str, evil: str) -> None:
    text = {"env": "a=1\n", "ini": "[s]\na=1\n", "words": "a 1\n", "directive": "a 1;\n"}[form]
    with pytest.raises(BadArguments):
        edits.edit(form, text, {"key": "s.a" if form == "ini" else "a", "value": evil})


def test_a_directive_cannot_be_ended_by_its_value() -> None:
    with pytest.raises(BadArguments, match="end the directive"):
        edits.edit("directive", NGINX, {"key": "listen", "value": "80; proxy_pass http://evil"})


def test_a_key_with_several_values_is_asked_about() -> None:
    with pytest.raises(BadArguments, match="2 times"):
        edits.edit("directive", "a { x 1; }\nb {\n x 1;\n}\nc {\n x 2;\n}\n", {"key": "x", "value": "3"})


@pytest.mark.parametrize("broken", ["a: [", "a: b: c", "\t- x"])
def test_a_file_that_cannot_be_parsed_is_not_edited(broken: str) -> None:
    with pytest.raises(BadArguments, match="not valid YAML"):
        edits.edit("yaml", broken, {"key": "a", "value": 1})


def test_flags_are_changed_where_they_stand_once() -> None:
    text = "JAVA_OPTS=-Xmx512m -Xms64m\n"
    assert edits.edit("flag", text, {"name": "-Xmx", "new": "1024m", "old": "512m"}) == text.replace("512m", "1024m")
    with pytest.raises(BadArguments):
        edits.edit("flag", text, {"name": "-Xmx", "new": "1024m; rm", "old": "512m"})
    with pytest.raises(BadArguments):
        edits.edit("flag", text, {"name": "-Xss", "new": "1m", "old": "512m"})


@pytest.mark.parametrize(
    ("path", "text", "form"),
    [
        ("app.env", "", "env"),
        (".env.local", "", "env"),
        ("ci.yml", "", "yaml"),
        ("x.service", "", "ini"),
        ("nginx.conf", NGINX, "directive"),
        ("redis.conf", REDIS, "words"),
        ("supervisord.conf", "; c\n[supervisord]\nx=1\n", "ini"),
        ("limits.conf", "A=1\nB=2\n", "env"),
        ("postgresql.conf", "max_connections = 100 # x\nshared_buffers = 128MB\n", "words"),
        ("pyproject.toml", "", "toml"),
    ],
)
def test_the_form_of_a_file(path: str, text: str, form: str) -> None:
    assert edits.form_of(path, text) == form


plain = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40).map(str.strip)
names = st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True)


@given(st.dictionaries(names, plain, max_size=5), names, plain)
@settings(max_examples=150, deadline=None)
def test_env_round_trip(before: dict[str, str], key: str, value: str) -> None:
    text = "# head\n"
    for name, held in before.items():
        text = edits.edit("env", text, {"key": name, "value": held})
    after = edits.edit("env", text, {"key": key, "value": value})
    assert edits.edit("env", after, {"key": key, "value": value}) == after
    assert [line for line in after.splitlines() if not line.startswith(f"{key}=")] == [
        line for line in text.splitlines() if not line.startswith(f"{key}=")
    ]
    if not set(value) & set("'\"\\$`"):
        assert edits.value("env", after, key) == value


scalars = st.one_of(st.integers(-1000, 10**9), st.booleans(), plain)
trees = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, min_size=1, max_size=3), st.dictionaries(names, inner, min_size=1, max_size=4)),  # noqa: E501
    max_leaves=12,
)  # fmt: skip


def paths(data: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(data, dict):
        return [found for key, held in data.items() for found in paths(held, (*at, key))]
    if isinstance(data, list):
        return [found for number, held in enumerate(data) for found in paths(held, (*at, str(number)))]
    return [at]


def put(data: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(data, list):
        return [put(held, path[1:], value) if str(number) == path[0] else held for number, held in enumerate(data)]
    return {key: put(held, path[1:], value) if key == path[0] else held for key, held in data.items()}


@given(st.dictionaries(names, trees, min_size=1, max_size=4), scalars, st.data(), st.sampled_from(["yaml", "json"]))
@settings(max_examples=200, deadline=None)
def test_structured_values_are_set_and_all_others_stay(
    tree: dict[str, Any], value: Any, data: st.DataObject, form: str
) -> None:
    path = data.draw(st.sampled_from(paths(tree)))
    text = yaml.safe_dump(tree, allow_unicode=True) if form == "yaml" else json.dumps(tree, indent=2)
    after = edits.edit(form, text, {"key": ".".join(path), "value": value})
    assert (yaml.safe_load(after) if form == "yaml" else json.loads(after)) == put(tree, path, value)


@given(st.dictionaries(names, scalars, min_size=1, max_size=5), st.one_of(st.integers(0, 99), plain), st.data())
@settings(max_examples=60, deadline=None)
def test_toml_values_are_set_and_all_others_stay(table: dict[str, Any], value: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(list(table)))
    text = "# head\n[tool]\n" + "".join(
        f"{name} = {json.dumps(held, ensure_ascii=False)} # c\n" for name, held in table.items()
    )
    after = edits.edit("toml", text, {"key": f"tool.{key}", "value": value})
    assert tomllib.loads(after)["tool"] == {**table, key: value}
    assert after.count("# c") == len(table)


@given(st.sampled_from(list(edits.FORMS)), st.text(max_size=200), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_or_edited_but_nothing_else_happens(form: str, text: str, key: str, value: str) -> None:
    try:
        after = edits.edit(form, text, {"key": key, "value": value})
        list(edits.FORMS[form].entries(text))
    except BadArguments:
        return
    assert isinstance(after, str)


@pytest.mark.parametrize(
    ("text", "value", "like"),
    [
        ("512m", 512 << 20, "1024m"),
        ("2Gi", 2 << 30, "1Gi"),
        ("256MB", 256 << 20, "1024MB"),
        ("1.5g", int(1.5 * (1 << 30)), "1g"),
        ("1000 MB", 1000 * 10**6, "1074 MB"),
        ("2097152", 2 << 20, "1073741824"),
    ],
)
def test_memory(text: str, value: int, like: str) -> None:
    amount = quantities.memory(text)
    assert amount
    assert amount.value == value
    assert amount.like(1 << 30) == like


@pytest.mark.parametrize(
    ("text", "value", "like"),
    [
        ("30", 30, "600"),
        ("30s", 30, "600s"),
        ("5min", 300, "10min"),
        ("1min 30s", 90, "600s"),
        ("100ms", 0.1, "600000ms"),
        ("1 h", 3600, "1 h"),
    ],
)
def test_time(text: str, value: float, like: str) -> None:
    amount = quantities.time(text)
    assert amount
    assert amount.value == pytest.approx(value)
    assert amount.like(600) == like


@pytest.mark.parametrize("text", ["", "abc", "12:30", "5 apples", "-1", "1e3", "5M"])
def test_no_time(text: str) -> None:
    assert quantities.time(text) is None
