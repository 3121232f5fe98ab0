"""What the stage keeps of logs like those that people have."""

import gzip
import io
import lzma
from pathlib import Path

import pytest

from devops_agent.distil import distil, distil_source
from devops_agent.distil.source import expand
from devops_agent.errors import RequestError
from devops_agent.model import Digest, Incident
from devops_agent.scan import Pattern, Signatures, literals

NOISE = [f"[{number:03}] compiling module_{number} of the shop" for number in range(300)]


def signatures(*sources: str) -> Signatures:
    return Signatures(
        [Pattern("book", number, "any", source, literals(source)) for number, source in enumerate(sources)]
    )


def digest(text: str, *sources: str, lines: int = 20, baseline: str | None = None) -> Digest:
    passing = None if baseline is None else baseline.encode()
    return distil_source(text.encode(), signatures(*sources), lines=lines, baseline=passing)


def texts(found: Digest) -> list[str]:
    return [item.text for item in found.evidence]


TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/main.py", line 12, in <module>
    start()
  File "/srv/app/main.py", line 7, in start
    connect(url)
ConnectionRefusedError: [Errno 111] Connection refused"""

JAVA = """Exception in thread "main" java.lang.IllegalStateException: cannot start
\tat com.example.shop.Main.start(Main.java:41)
\tat com.example.shop.Main.main(Main.java:12)
Caused by: java.net.BindException: Address already in use
\tat java.base/sun.nio.ch.Net.bind0(Native Method)
\t... 2 more"""

RUST = """error[E0308]: mismatched types
 --> src/main.rs:4:18
  |
4 |     let n: i32 = "x";
  |            ---   ^^^ expected `i32`, found `&str`
error: could not compile `shop` due to previous error"""

GO = """panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
main.main()
\t/srv/shop/main.go:9 +0x1d
exit status 2"""


@pytest.mark.parametrize(
    ("failure", "telling"),
    [
        (TRACEBACK, "ConnectionRefusedError: [Errno 111] Connection refused"),
        (JAVA, "Caused by: java.net.BindException: Address already in use"),
        (RUST, "error[E0308]: mismatched types"),
        (GO, "panic: runtime error: index out of range [3] with length 3"),
    ],
)
def test_the_failure_is_found_whole_in_the_noise(failure: str, telling: str) -> None:
    found = digest(
        "\n".join([*NOISE, failure, "##[error]Process completed with exit code 1.", "cleaning up"]), lines=50
    )
    kept = texts(found)
    assert telling in kept
    assert [line for line in failure.split("\n") if line.strip() and line not in kept] == []
    assert found.failing


def test_numbers_are_those_of_the_log() -> None:
    log = "\n".join([*NOISE, "progress 1%\rprogress 50%\rprogress 100%", TRACEBACK])
    raw = log.split("\n")
    for item in digest(log).evidence:
        assert item.line is not None
        assert item.text == raw[item.line - 1].split("\r")[-1]
        assert item.id == f"log:{item.line}"


def test_what_passed_shows_no_failure() -> None:
    log = [
        *NOISE,
        "retrying download (attempt 2)",
        "0 errors, 0 warnings",
        "test_error_page ... ok",
        "12 passed in 3.1s",
    ]
    assert not digest("\n".join(log)).failing


def test_a_log_that_breaks_off_after_a_step_that_passed_fails() -> None:
    passed = [*NOISE, 'The command "make" exited with 0.', *NOISE]
    assert not digest("\n".join(passed)).failing
    assert digest("\n".join([*passed, TRACEBACK])).failing


def test_zero_errors_and_warnings_do_not_beat_the_error() -> None:
    log = [
        *NOISE,
        "warning: unused variable x",
        "Tests: 12, failures: 0",
        "0 errors",
        "src/a.c:4:2: error: unknown type name 'foo'",
        "make: *** [all] Error 1",
    ]
    found = digest("\n".join(log), lines=3)
    assert "src/a.c:4:2: error: unknown type name 'foo'" in texts(found)
    assert "0 errors" not in texts(found)


def test_the_first_cause_weighs_more_than_what_follows() -> None:
    log = [
        *NOISE,
        "src/a.c:4:2: error: unknown type name 'foo'",
        *["src/b.c:9:9: error: 'foo' undeclared"] * 9,
        "make: *** [all] Error 1",
    ]
    hits = {
        hit.pattern: hit for hit in digest("\n".join(log), "unknown type name", r"\[all\] Error \d", "undeclared").hits
    }
    assert hits[0].weight > hits[1].weight
    assert hits[0].lines == (301,)
    assert len(hits[2].lines) == 9


def test_hits_have_groups_and_see_through_prefixes_and_colours() -> None:
    log = "2026-01-02T03:04:05.678Z ##[error]\x1b[31mbind: port 8000 is already\x1b[0m in use"
    (hit,) = digest(log, r"^bind: port (?P<port>\d+) is already in use$").hits
    assert hit.groups == {"port": "8000"}
    assert hit.lines == (1,)


def test_colours_that_a_viewer_wrote_out_are_no_part_of_a_line() -> None:
    log = "^[[31mFAIL^[[0m^[[1;31m: test_a (test.test_b)^[[0m"
    (hit,) = digest(log, r"^FAIL: (?P<test>\w+) \([\w.]+\)$").hits
    assert hit.groups == {"test": "test_a"}


def test_json_lines_are_read_for_message_and_level() -> None:
    log = "\n".join(
        [
            '{"ts":1,"level":"info","msg":"up"}',
            '{"ts":2,"severity":"error","fields":{},"message":"connect: connection refused","error":"dial tcp"}',
        ]
    )
    found = digest(log, r"^ERROR connect: connection refused")
    assert found.format == "json"
    assert found.hits
    assert 2 in [item.line for item in found.evidence]


def test_a_record_that_another_program_passes_on_is_read_for_what_it_says() -> None:
    log = (
        '{"level":"info","logger":"postgres","msg":"record","record":'
        '{"error_severity":"FATAL","message":"the database system is starting up"}}'
    )
    assert digest(log, r"^FATAL the database system is starting up").hits


def test_a_secret_is_masked_in_evidence_hits_and_groups() -> None:
    found = digest("login failed: password=Tr0ub4dor&3 rejected", r"password=(?P<value>\S+)")
    assert "Tr0ub4dor" not in found.model_dump_json()
    assert sum(found.redactions.values()) >= 1


def test_lines_of_a_passing_log_weigh_little() -> None:
    usual = "ERROR: cache server cache-7 not reachable, going on without"
    failing = "\n".join([*NOISE, usual, *NOISE, "ERROR: schema version 12 is newer than 11"])
    passing = "\n".join([*NOISE, usual.replace("7", "9"), *NOISE])
    plain, compared = digest(failing, lines=1), digest(failing, lines=1, baseline=passing)
    assert (plain.mode, compared.mode) == ("plain", "baseline")
    assert texts(compared) == ["ERROR: schema version 12 is newer than 11"]


def test_the_fingerprint_is_stable_over_runs_and_differs_between_failures() -> None:
    def log(run: int, error: str) -> str:
        stamp = f"2026-01-{run:02}T03:04:05Z "
        return "\n".join(
            stamp + line for line in [*NOISE[: 50 + run], error, "##[error]Process completed with exit code 1."]
        )

    one = digest(log(1, "Error: connect to 10.0.0.1:5432 failed after 31 ms (request 8f3a2b1c9d)")).fingerprint
    two = digest(log(2, "Error: connect to 10.0.0.7:5432 failed after 45 ms (request 77aa2b1c9e)")).fingerprint
    other = digest(log(2, "Error: no space left on /var/lib")).fingerprint
    assert one == two != other


def test_the_budget_holds() -> None:
    log = "\n".join(f"ERROR: number {number} " + "x" * 300 for number in range(500))
    found = distil_source(log.encode(), signatures(), lines=100, chars=5000)
    assert 1 <= len(found.evidence) <= 100
    assert sum(len(item.text) for item in found.evidence) <= 5400


@pytest.mark.parametrize("data", [b"", b"\n", b"\r", b"\0\0\0", b"\xff\xfe", b" \n \n"])
def test_nothing_in_nothing_out(data: bytes) -> None:
    found = distil_source(data, signatures("x"))
    assert not found.hits
    assert found.bytes_read == len(data)


def test_all_ways_in_give_the_same(tmp_path: Path) -> None:
    import zstandard

    plain = "\n".join([*NOISE, TRACEBACK]).encode()
    path = tmp_path / "a.log"
    path.write_bytes(plain)
    ways = [
        plain,
        path,
        io.BytesIO(plain),
        gzip.compress(plain),
        lzma.compress(plain),
        zstandard.compress(plain),
        ("\ufeff" + plain.decode()).encode("utf-16-le"),
    ]
    results = [distil_source(way, signatures("refused")) for way in ways]  # type: ignore[arg-type]
    for found in results:
        assert (found.evidence, found.hits, found.lines_read) == (
            results[0].evidence,
            results[0].hits,
            results[0].lines_read,
        )


def test_an_incident_brings_its_text_or_its_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.log"
    path.write_text(TRACEBACK)
    by_text = distil(Incident(id="i", log=TRACEBACK), signatures("refused"))
    by_file = distil(Incident(id="i", log_file=str(path)), signatures("refused"))
    assert by_text == by_file
    assert by_text.hits


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(RequestError, match="no/such/file"):
        distil_source(Path("/no/such/file"), signatures())


def test_an_archive_of_which_nothing_can_be_read_is_told_and_no_healthy_log():
    with pytest.raises(RequestError, match="gz file"):
        expand(gzip.compress(b"")[:10] + b"\xff" * 200)
    assert expand(gzip.compress(b"")) == b""
