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
