"""`diagnose` and `distil` in processes of their own: outputs, statuses, bad input."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import HEALTHY_LOG, PORT_LOG, Agent

HEAVY = ("flask", "sqlalchemy", "hyperscan", "rich", "httpx", "psutil", "ruamel", "tomlkit", "gunicorn", "yaml")


def test_diagnose_names_the_cause_in_the_documented_form(agent: Agent, port_log: Path) -> None:
    ran = agent("diagnose", str(port_log), "--json")
    said = json.loads(ran.stdout)
    assert ran.returncode == 3
    assert ran.stderr == b""
    assert said["cause"] == "port_in_use"
    assert said["failure"] is True
    assert 0 < said["confidence"] <= 1
    assert said["facts"]["port"] == "3000"
    assert {"line": 2, "text": PORT_LOG.splitlines()[1]} in said["evidence"]
    assert {"line": 2, "text": PORT_LOG.splitlines()[1]} in said["excerpt"]
    assert isinstance(said["alternatives"], list)
    assert said["summary"]
    assert said["fingerprint"]


def test_diagnose_reads_standard_input_with_and_without_a_dash(agent: Agent) -> None:
    for arguments in (("diagnose", "--json"), ("diagnose", "-", "--json")):
        ran = agent(*arguments, said=PORT_LOG.encode())
        assert json.loads(ran.stdout)["cause"] == "port_in_use"


@pytest.mark.parametrize("log", [HEALTHY_LOG, ""], ids=["healthy", "empty"])
def test_diagnose_of_a_log_without_failure_ends_with_0_and_names_none(agent: Agent, log: str) -> None:
    ran = agent("diagnose", "--json", said=log.encode())
    said = json.loads(ran.stdout)
    assert (ran.returncode, said["failure"], said["cause"]) == (0, False, "unknown")


def test_diagnose_writes_plain_text_in_a_pipe(agent: Agent, port_log: Path) -> None:
    ran = agent("diagnose", str(port_log))
    text = ran.stdout.decode()
    assert text.startswith("port_in_use")
    assert "2> Error: listen EADDRINUSE" in text
    assert "\x1b" not in text
    assert ran.stderr == b""


def test_batch_answers_each_line_in_order_with_its_id(agent: Agent, tmp_path: Path) -> None:
    cases = [
        {"id": "b", "context": PORT_LOG},
        {"id": 7, "context": HEALTHY_LOG},
        {"id": None, "context": "\ud800 ERROR x"},
    ]
    file = tmp_path / "cases.jsonl"
    file.write_text("\n".join(json.dumps(case) for case in cases) + "\n\n")
    ran = agent("diagnose", "--batch", str(file))
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr
    assert [answer["id"] for answer in answers] == ["b", 7, None]
    assert [answer["cause"] for answer in answers][:2] == ["port_in_use", "unknown"]


def test_a_batch_comes_from_standard_input(agent: Agent) -> None:
    ran = agent("diagnose", "--batch", "-", said=json.dumps({"id": 1, "context": PORT_LOG}).encode())
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["cause"] == "port_in_use"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "line 1: must be an object"),
        ('{"id": 1}', "line 1: context"),
        ('{"context": 5}', "context"),
    ],
)
def test_a_wrong_line_of_a_batch_is_named(agent: Agent, tmp_path: Path, line: str, named: str) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(line + "\n" + json.dumps({"id": "next", "context": PORT_LOG}) + "\n")
    ran = agent("diagnose", "--batch", str(file))
    assert ran.returncode == 2
    assert named in ran.stderr.decode()
    wrong, right = (json.loads(answer) for answer in ran.stdout.splitlines())
    assert wrong["error"]
    assert wrong["id"] == (1 if '"id": 1' in line else None)
    assert (right["id"], right["cause"]) == ("next", "port_in_use")
    assert "Traceback" not in ran.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("diagnose", "missing.log"), "LOG: missing.log: no such file"),
        (("diagnose", "."), "LOG: . is a directory"),
        (("diagnose", "--batch", "missing.jsonl"), "--batch: missing.jsonl: no such file"),
        (("diagnose", "x.log", "--batch", "y.jsonl"), "not both"),
        (("diagnose", "--planner", "model", "-"), "there is no key for gpt-4o"),
        (("diagnose", "--planner", "oracle", "x"), "oracle"),
        (("distil", "missing.log"), "no such file"),
        (("distil", "--lines", "0"), "--lines"),
        (("distil", "-", "--baseline", "missing.log"), "--baseline: missing.log"),
        (("diagnos",), "Did you mean"),
        (("diagnose", "--nonsense"), "--nonsense"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(agent: Agent, arguments: tuple[str, ...], named: str) -> None:
    ran = agent(*arguments)
    assert ran.returncode == 2
    assert named in ran.stderr.decode()
    assert ran.stdout == b""
    assert "Traceback" not in ran.stderr.decode()


def test_the_model_planner_is_refused_from_the_environment_too(agent: Agent, port_log: Path) -> None:
    ran = agent("diagnose", str(port_log), env={"DEVOPS_AGENT_PLANNER": "model"})
    assert ran.returncode == 2
    assert b"OPEN_AI_API_KEY" in ran.stderr


def test_distil_gives_the_lines_that_matter_with_their_numbers(agent: Agent) -> None:
    noise = "".join(f"step {number} done\n" for number in range(3000))
    log = noise + PORT_LOG + noise
    ran = agent("distil", "--lines", "40", "--json", said=log.encode())
    said = json.loads(ran.stdout)
    assert ran.returncode == 0
    assert said["lines_read"] == 6005
    assert said["bytes_read"] == len(log)
    assert len(said["excerpt"]) <= 40
    lines = log.split("\n")
    assert all(lines[each["line"] - 1] == each["text"] for each in said["excerpt"])
    assert 3002 in [each["line"] for each in said["excerpt"]]
    assert [each["line"] for each in said["excerpt"]] == sorted(each["line"] for each in said["excerpt"])


def test_control_characters_of_a_log_do_not_reach_the_terminal(agent: Agent) -> None:
    log = b"\x1b]0;owned\x07Error: listen EADDRINUSE: address already in use :::3000\x9b31m \xe2\x80\xae\nexit code 1\n"
    for command in ("distil", "diagnose"):
        out = agent(command, said=log).stdout.decode()
        assert "EADDRINUSE" in out
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out)


def test_a_reader_that_goes_away_is_no_error(environment: dict[str, str], tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text((json.dumps({"id": 1, "context": PORT_LOG}) + "\n") * 400)
    process = subprocess.Popen(
        [sys.executable, "-m", "devops_agent", "diagnose", "--batch", str(cases)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert errors == b""
    assert process.returncode == 141


def test_a_terminal_gets_colours_and_the_same_words(environment: dict[str, str], port_log: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "devops_agent", "diagnose", str(port_log)],
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:
        pass
    finally:
        os.close(ours)
    assert process.wait(30) == 3
    assert b"\x1b[" in said
    assert b"EADDRINUSE: address already in use" in said


def test_diagnose_loads_nothing_heavy(environment: dict[str, str], port_log: Path) -> None:
    program = (
        "import sys\n"
        "from devops_agent.cli import main\n"
        "try: main(['diagnose', sys.argv[1], '--json'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(port_log)], env=environment, capture_output=True, timeout=60, check=True
    )
    loaded = set(re.findall(r"'(\w+)'", ran.stderr.decode()))
    assert "pydantic" in loaded
    assert not loaded & set(HEAVY)
