"""Facts: cleaned, typed for tools, filled in from beside the decisive lines, never invented."""

from __future__ import annotations

import pytest

from devops_agent.model import Evidence, Hit
from devops_agent.planners.context import beside
from devops_agent.planners.facts import around, clean, facts, typed


def hit(**groups: str) -> Hit:
    return Hit(signature="x", lines=(1,), groups=groups)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("'a.txt'", "a.txt"),
        ("/etc/x>", "/etc/x"),
        ("f(x)", "f(x)"),
        ("x)", "x"),
        ("<redacted:1>", ""),
        ("name,", "name"),
        ("db.internal.", "db.internal"),
        ("==1.2", "1.2"),
        ("http://api.example/health:", "http://api.example/health"),
        ("", ""),
    ],
)
def test_values_lose_what_stood_around_them(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_the_first_hit_names_and_of_several_values_the_first() -> None:
    assert facts([hit(port="80"), hit(port="81", host="db")]) == {"port": "80", "host": "db"}
    assert facts([hit(package="ab", package_2="cd")]) == {"package": "ab"}
    assert facts([hit(nonsense="1")]) == {}


def test_an_address_names_host_and_port_too() -> None:
    assert facts([hit(url="https://u:p@reg.example:5000/v2/")]) == {
        "url": "https://u:p@reg.example:5000/v2/",
        "host": "reg.example",
        "port": "5000",
    }


def test_no_number_version_or_word_is_a_host_and_scoped_packages_have_a_slash() -> None:
    assert facts([hit(host="7.7.3"), hit(host="failed"), hit(host="db1", package="@acme%2fui")]) == {
        "host": "db1",
        "package": "@acme/ui",
    }


def test_tools_get_numbers() -> None:
    assert typed({"port": "80", "exit_code": "137", "path": "a", "tag": "1"}) == {
        "port": 80,
        "exit_code": 137,
        "path": "a",
        "tag": "1",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Successfully assigned shop/web-1 to node-7", {"namespace": "shop", "pod": "web-1", "node": "node-7"}),
        ("$ kubectl -n stage describe pod api-0", {"namespace": "stage", "pod": "api-0", "command": "kubectl"}),
        ("$ curl 'https://api.example.test/v1/items'", {"url": "https://api.example.test/v1/items", "command": "curl"}),
        ("insert into orders (id) values (1);", {"table": "orders"}),
        ('no entry for user "web", database "shop"', {"user": "web", "database": "shop"}),
        ("systemd[1]: shop.service: Failed", {"unit": "shop.service"}),
        ("see the log of shop.service.", {"unit": "shop.service"}),
        (
            "root@web:~# openssl s_client -connect 10.0.0.7:8443",
            {"host": "10.0.0.7", "port": "8443", "command": "openssl"},
        ),
        ("Host Name: staging.example.test", {"host": "staging.example.test"}),
        ("50 % for all", {}),
        ("    self.socket.bind(self.server_address)", {}),
        ("nothing to see", {}),
    ],
)
def test_shapes_beside_the_words(line: str, expected: dict[str, str]) -> None:
    assert beside({}, [], [line]) == expected


def test_what_is_known_is_not_replaced_and_near_lines_come_first() -> None:
    excerpt = [
        Evidence(id="log:9", source="log", text='user "far"', line=9),
        Evidence(id="log:2", source="log", text='user "near"', line=2),
    ]
    assert around({}, [hit()], excerpt) == {"user": "near"}
    assert around({"user": "known"}, [hit()], excerpt) == {}


def test_a_runbook_names_facts_on_the_lines_around_and_they_come_before_what_holds_for_any_failure() -> None:
    own = (r'File "(?P<path>[^"]{1,200})", line \d+', r"(?P<container>[\w-]{2,60}) exited")
    excerpt = [
        Evidence(id="log:1", source="log", line=1, text='  File "/srv/app/main.py", line 3, in <module>'),
        Evidence(id="log:2", source="log", line=2, text='  File "/srv/app/deep.py", line 9, in load'),
        Evidence(id="log:3", source="log", line=3, text="SyntaxError: invalid syntax"),
    ]
    decisive = Hit(signature="x", lines=(3,), text="SyntaxError: invalid syntax")
    assert around({}, [decisive], excerpt, own) == {"path": "/srv/app/deep.py"}
    assert around({"path": "known.py"}, [decisive], excerpt, own) == {}
