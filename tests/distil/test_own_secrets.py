"""A team's own kinds of secrets, from its settings: masked in everything that is shown and stored."""

import json
import subprocess
import sys

import pytest

from devops_agent.config import load_settings
from devops_agent.distil.redact import also, redact
from devops_agent.errors import ConfigError


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(sys.modules["devops_agent.distil.redact"], "_IN_FORCE", [((), set())])


def test_own_expressions_are_masked_everywhere():
    also(load_settings(environ={"DEVOPS_AGENT_REDACT": "KD-[0-9]{6}\n(?P<s>hush)!"}).redact)
    masked, counts = redact("order KD-123456 and hush!")
    assert "KD-123456" not in masked
    assert "hush" not in masked
    assert counts == {"own": 2}


@pytest.mark.parametrize("wrong", ["(", "x*", ""])
def test_what_cannot_be_used_is_told(wrong):
    with pytest.raises(ConfigError, match="DEVOPS_AGENT_REDACT"):
        also([wrong])


@pytest.mark.parametrize("command", [["diagnose", "-", "--json"], ["distil", "-", "--json"]])
def test_the_command_line_keeps_to_them(command, tmp_path):
    env = {"PATH": "/usr/bin:/bin", "DEVOPS_AGENT_REDACT": "KD-[0-9]{6}", "DEVOPS_AGENT_DATA_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "devops_agent", *command],
        input="ValueError: no customer KD-123456\nexit code 1\n",
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )
    shown = json.loads(ended.stdout)
    assert "[redacted:own:1]" in json.dumps(shown["excerpt"])
    assert "123456" not in ended.stdout


def test_a_line_that_was_clean_is_looked_at_again_under_new_expressions() -> None:
    line = "the ticket is ACME-7731 again"
    assert redact(line)[0] == line == redact(line)[0]
    assert "7731" not in redact(line, own=[r"ACME-\d+"])[0]
    assert redact(line)[0] == line
    also([r"ACME-\d+"])
    assert "7731" not in redact(line)[0]


def test_a_line_that_is_clean_by_itself_is_masked_within_a_key() -> None:
    line = "QUFBQUFBQUFBQUFBQUFBQUFBQUFB"
    assert redact(line)[0] == line
    key = f"-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----"
    assert line not in redact(key)[0]
    assert redact(line)[0] == line
