"""Formats and prefixes of CI systems."""

import pytest

from devops_agent.distil.clean import clean, decode
from devops_agent.distil.formats import detect, message
from devops_agent.distil.mask import shape


@pytest.mark.parametrize(
    ("line", "text", "mark"),
    [
        ("2026-04-23T08:28:54.6985167Z ##[error]Process completed", "Process completed", "error"),
        ("build\tRun tests\t2026-04-23T08:28:54.6985167Z npm ERR! x", "npm ERR! x", ""),
        ("2026-04-23T08:28:54.123456Z 01O make: *** x", "make: *** x", ""),
        ("[2026-04-23T08:28:54.123Z] + make test", "+ make test", ""),
        ("Apr 23 08:28:54 web-1 nginx[812]: bind() failed", "bind() failed", ""),
        ("#12 3.210 E: Unable to locate package", "E: Unable to locate package", ""),
        ("::error file=a.py,line=3::bad thing", "bad thing", "error"),
        ("shop-1  | listen EADDRINUSE", "listen EADDRINUSE", ""),
        ("plain text: stays", "plain text: stays", ""),
        ("12 problems", "12 problems", ""),
        ('{"time":"x","lvl":"warn","msg":"low on disk"}', "WARN low on disk", ""),
        ('{"log":{"level":"error"},"message":"boom","error":{"message":"no route"}}', "ERROR boom no route", ""),
        ('{"not": "a message"}', '{"not": "a message"}', ""),
    ],
)
def test_what_the_tool_itself_wrote(line: str, text: str, mark: str) -> None:
    found = message(line)
    assert (found.text, found.mark) == (text, mark)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("github", ["2026-04-23T08:28:54.6Z ##[group]Run make", "2026-04-23T08:28:55.6Z x"]),
        ("azure", ["2026-04-23T08:28:54.6Z ##[section]Starting: Build", "2026-04-23T08:28:54.6Z ##[error]x"] * 2),
        ("gitlab", ["section_start:1560896352:prepare\r\x1b[0KPreparing", "ERROR: Job failed: exit code 1"]),
        ("jenkins", ["Started by user admin", "[Pipeline] sh", "Finished: FAILURE"]),
        ("travis", ["travis_fold:start:system_info", 'The command "make" exited with 2.']),
        ("circleci", ["Exited with code exit status 1"]),
        ("docker", ["#1 [internal] load build definition", "#2 DONE 0.1s", "#3 CACHED"]),
        (
            "kubernetes",
            ["Name:   shop-1", "Namespace: default", "Events:", "Warning BackOff kubelet Back-off restarting"],
        ),
        ("journal", ["Apr 23 08:28:54 web-1 systemd[1]: Started x.", "Apr 23 08:28:55 web-1 nginx[2]: y"]),
        ("json", ['{"msg":"a"}', '{"msg":"b"}']),
        ("plain", ["hello", "world"]),
        ("plain", []),
    ],
)
def test_what_kind_of_log(kind: str, lines: list[str]) -> None:
    assert detect(lines) == kind


def test_what_a_terminal_shows() -> None:
    assert clean("\x1b[1;31merror\x1b[0m: x\r") == "error: x"
    assert clean("10%\r50%\r100%") == "100%"
    assert clean("a\x00b\x07c") == "abc"
    assert clean("\x1b]0;title\x07text") == "text"
    assert len(clean("x" * 1_000_000)) < 5000


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_encodings(code: str) -> None:
    text = "Error: não foi possível — " * 10
    assert decode(text.encode(code)) == text


def test_latin_1_and_broken_bytes() -> None:
    assert decode("é".encode("latin-1") * 200) == "é" * 200
    assert decode(b"ok \xff done") == "ok \ufffd done"


def test_shapes_hide_what_changes_from_run_to_run() -> None:
    one = shape("2 of 9 failed in /tmp/a1/b/test_x.py:12 after 3.1s, id 3f2b8c1d9e, see https://x.example/r/1")
    two = shape("4 of 8 failed in /tmp/zz/b/test_x.py:99 after 14.7s, id 99ab8c1d00, see https://x.example/r/22")
    assert one == two
    assert "failed in" in one
    assert shape("cannot open file") != shape("cannot close file")
