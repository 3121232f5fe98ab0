"""Hooks and targets in a settings file, TOML or YAML; secrets by reference, told by nothing."""

import pytest

from devops_agent.config import load_settings
from devops_agent.connect.settings import read
from devops_agent.errors import ConfigError

TOML = """
public_url = "https://agent.example"
[hooks.ci]
kind = "github"
secret = ["env:CI_SECRET", "file:{file}"]
[notify.mail]
kind = "apprise"
url = "mailtos://agent:mail-password-1@example.org"
"""
YAML = """
public_url: https://agent.example
hooks:
  ci: {kind: github, secret: ["env:CI_SECRET", "file:{file}"]}
notify:
  mail: {kind: apprise, url: "mailtos://agent:mail-password-1@example.org"}
"""


@pytest.mark.parametrize(("name", "text"), [("s.toml", TOML), ("s.yaml", YAML), ("s.yml", YAML)])
def test_a_settings_file_of_either_form(tmp_path, monkeypatch, name, text):
    (tmp_path / "secret").write_text("secret-of-the-file\n")
    (tmp_path / name).write_text(text.replace("{file}", str(tmp_path / "secret")))
    monkeypatch.setenv("CI_SECRET", "secret-of-the-env")
    settings = load_settings(environ={"DEVOPS_AGENT_CONFIG": str(tmp_path / name)})
    known = read(settings.hooks, settings.notify)
    assert known.hooks["ci"].secrets == ("secret-of-the-env", "secret-of-the-file")
    assert known.hooks["ci"].base == "https://api.github.com"
    assert ".blob.core.windows.net" in known.hooks["ci"].hosts
    assert {"secret-of-the-env", "secret-of-the-file", "mail-password-1"} <= set(known.secrets)
    for shown in (repr(known), str(known), repr(settings), known.model_dump_json()):
        assert "secret-of" not in shown
        assert "mail-password-1" not in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [("hooks: [1]", "HOOKS"), ("- 1", "expected settings"), ("hooks: {a: {kind", "not valid YAML")],
)
def test_a_wrong_settings_file_is_told(tmp_path, text, said):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_settings(environ={"DEVOPS_AGENT_CONFIG": str(tmp_path / "s.yaml")})


def test_a_secret_that_cannot_be_read_names_the_field_and_not_the_content(tmp_path):
    with pytest.raises(ConfigError, match=r"hooks\.ci\.secret: .* cannot be read"):
        read({"ci": {"kind": "github", "secret": f"file:{tmp_path}/none"}}, {})
