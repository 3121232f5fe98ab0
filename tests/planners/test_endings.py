"""A log that breaks off with the words of a known failure fails, however long it is and whatever stands before them."""

from __future__ import annotations

import pytest

from devops_agent.bootstrap import Diagnoser
from devops_agent.config import Settings

DIAGNOSER = Diagnoser(Settings())


@pytest.mark.parametrize("lines", [10, 250, 40_000])
@pytest.mark.parametrize(
    ("last", "cause"),
    [
        ("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "port_in_use"),
        ("write /var/lib/docker: no space left on device", "disk_full"),
        ("dial tcp 10.0.0.1:5432: connect: connection refused", "connection_refused"),
    ],
)
def test_the_end_of_a_log_of_any_length(lines: int, last: str, cause: str) -> None:
    log = "".join(f"2026-05-04T10:00:00Z compile module {n} done, result cached in layer\n" for n in range(lines))
    digest, diagnosis = DIAGNOSER.diagnose((log + last + "\n").encode())
    assert digest.lines_read == lines + 1
    assert diagnosis.failure
    assert diagnosis.cause == cause


def test_the_same_words_in_the_middle_of_a_log_that_goes_on_are_no_failure() -> None:
    quiet = "".join(f"compile module {n} done, result cached in layer\n" for n in range(300))
    said = "wait-for-it: dial tcp 10.0.0.1:5432: connect: connection refused, trying again\n"
    _, diagnosis = DIAGNOSER.diagnose((quiet + said + quiet).encode())
    assert not diagnosis.failure


@pytest.mark.parametrize(
    "log",
    [
        'psql: connection to server at "db", port 5432 failed: Connection refused\npostgres is up - executing\n',
        "nc: connect to db port 5432 (tcp) failed: Connection refused\ndb:5432 is available after 3 seconds\n",
        'fatal: [web1]: FAILED! => {"msg": "No such file or directory"}\n...ignoring\n'
        "web1 : ok=8 changed=1 unreachable=0 failed=0 skipped=0\n",
        "rm: cannot remove 'x.pid': No such file or directory\nJob succeeded\n",
    ],
)
def test_what_was_got_over_or_borne_is_no_failure(log: str) -> None:
    assert not DIAGNOSER.diagnose(log.encode())[1].failure


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            "db:5432 is available after 3 seconds\ndial tcp 10.0.0.9:6379: connect: connection refused\n",
            "connection_refused",
        ),
        (
            'fatal: [web1]: FAILED! => {"msg": "[Errno 113] No route to host"}\n'
            "web2 : ok=8 changed=1 unreachable=0 failed=0 skipped=0\n",
            "host_unreachable",
        ),
    ],
)
def test_what_came_after_or_was_not_borne_is(log: str, cause: str) -> None:
    assert DIAGNOSER.diagnose(log.encode())[1].cause == cause
