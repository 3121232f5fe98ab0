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
