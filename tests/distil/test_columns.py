"""Secrets in the columns of tables: the head says what they are, every row is masked, and nothing beyond the table."""

from __future__ import annotations

import pytest

from devops_agent.distil import redact
from devops_agent.distil.redact import Redactor

MYSQL = """+------+----------+
| user | password |
+------+----------+
| app  | hunter22 |
| bob  | letmein  |
| eve  | NULL     |
+------+----------+
3 rows in set | letmein22
"""
PSQL = """ id | api_key  | owner
----+----------+-------
  1 | k3j4h5k3 | ann
(1 row)
"""
ALIGNED = """NAME    PASSWORD    ROLE
app     hunter22    admin
bob     Tr0ub4dor   viewer

name    a1b2c3d4    viewer
"""
TABS = "user\tdb_password\n" + "ann\thunter22\n" * 3
COMMAS = "user,password,role\nann,hunter22,admin\n'bob','Tr0ub4dor','viewer'\n"


@pytest.mark.parametrize(
    ("table", "secrets", "kept"),
    [
        (MYSQL, ["hunter22", "letmein "], ["NULL", "app", "letmein22"]),
        (PSQL, ["k3j4h5k3"], ["ann", "(1 row)"]),
        (ALIGNED, ["hunter22", "Tr0ub4dor"], ["admin", "viewer", "a1b2c3d4"]),
        (TABS, ["hunter22"], ["ann"]),
        (COMMAS, ["hunter22", "Tr0ub4dor"], ["admin", "bob"]),
    ],
)
def test_a_column_of_secrets(table: str, secrets: list[str], kept: list[str]) -> None:
    masked, counts = redact(table)
    assert not [each for each in secrets if each in masked]
    assert all(each in masked for each in kept)
    assert masked.count("\n") == table.count("\n")
    assert sum(counts.values()) >= len(secrets)
    assert redact(masked)[0] == masked
    redactor = Redactor()
    assert [redactor.line(line) for line in table.split("\n")] == masked.split("\n")
    assert redact(table)[0] == masked  # also where its lines were seen before


@pytest.mark.parametrize(
    "text",
    [
        "| token | count |\n|-------|-------|\n| the   | 12    |\n| of    | 9     |\n",
        "please enter user, password, role\nann2000, bob3000, eve4000\n",
        "Password  resets were 12  today\nit went  well8888  everywhere\n",
        "password,role\nrest of the log goes on here with a1b2c3d4\n",
        "| error | secret |\nError: secret db-credentials2 not found in namespace shop\n",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert redact(text)[0] == text
