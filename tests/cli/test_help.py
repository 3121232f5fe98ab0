"""What the command line says about itself."""

from __future__ import annotations

import pytest

from devops_agent import __version__

from .conftest import Agent

COMMANDS = ("serve", "handle", "diagnose", "distil", "approve", "deny", "jobs", "job", "audit", "tools", "runbooks")


def test_help_shows_all_commands_examples_and_exit_statuses(agent: Agent) -> None:
    for arguments in (("--help",), ("-h",)):
        ran = agent(*arguments)
        said = ran.stdout.decode()
        assert ran.returncode == 0
        assert all(f"\n  {name} " in said for name in COMMANDS)
        assert "devops-agent diagnose build.log" in said
        assert "3 a person is needed" in said
        assert "No language model is needed" in said


@pytest.mark.parametrize("command", ["serve", "handle", "diagnose", "distil", "approve", "audit"])
def test_commands_have_examples(agent: Agent, command: str) -> None:
    said = agent(command, "--help").stdout.decode()
    assert f"devops-agent {command}" in said.partition("Examples:")[2]


def test_without_a_command_the_help_is_shown_and_the_usage_is_wrong(agent: Agent) -> None:
    ran = agent()
    assert ran.returncode == 2
    assert b"Usage: devops-agent" in ran.stdout + ran.stderr


def test_version(agent: Agent) -> None:
    assert agent("--version").stdout.decode() == f"devops-agent {__version__}\n"


@pytest.mark.parametrize("group", [[], ["keys"], ["runbooks"], ["db"]])
def test_what_a_command_does_is_not_cut_off_in_the_overview(agent: Agent, group: list[str]) -> None:
    listed = (
        agent(*group, "--help", env={"COLUMNS": "80"}).stdout.decode().partition("Commands:")[2].partition("\n\n")[0]
    )
    assert listed.strip()
    assert "..." not in listed


def test_the_shell_completes_commands_and_options(agent: Agent) -> None:
    assert b"complete" in agent(env={"_DEVOPS_AGENT_COMPLETE": "source_bash"}).stdout
    asked = {"_DEVOPS_AGENT_COMPLETE": "complete_bash", "COMP_WORDS": "devops-agent di", "COMP_CWORD": "1"}
    assert agent(env=asked).stdout.split() == [b"diagnose", b"distil"]


def test_a_slip_in_a_settings_name_is_told(agent: Agent) -> None:
    ran = agent(
        "jobs", env={"DEVOPS_AGENT_INVENTROY": "x", "DEVOPS_AGENT_KEY": "k", "DEVOPS_AGENT_MODEL_FALLBACK_KEY": "k"}
    )
    assert ran.stderr.decode().splitlines() == [
        "devops-agent: DEVOPS_AGENT_INVENTROY: no such setting (perhaps DEVOPS_AGENT_INVENTORY)"
    ]


def test_an_empty_log_is_called_so(agent: Agent) -> None:
    assert agent("diagnose").stdout == b"no failure  the log is empty\n"
    assert agent("handle").stdout.startswith(b"NO FAILURE  The log is empty.")
