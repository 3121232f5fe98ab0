"""A patch replaces one text that stands there once; it weakens nothing and breaks no file."""

import pytest

from act.places import do, toolbox, undo
from devops_agent.errors import BadArguments, NotAllowed

YAML = "server:\n  port: 80\n  tls_verify: true\n  max_connections: 100\n# port: 80\n"


@pytest.fixture
def box(tmp_path):
    (tmp_path / "app.yaml").write_text(YAML)
    (tmp_path / "data.yaml").write_text(YAML)
    return toolbox(tmp_path, services={"app": {"config": ["app.yaml"]}}, protected=["data.yaml"])


def test_it_is_replaced_once_and_back(box, tmp_path):
    args = {"file": "app.yaml", "old": "  port: 80", "new": "  port: 8080\n  host: 127.0.0.1"}
    back = undo(box, "patch_file", lambda: None, **args)
    assert (back.status, (tmp_path / "app.yaml").read_text()) == ("succeeded", YAML)
    assert do(box, "patch_file", **args).status == "succeeded"
    assert "  port: 8080\n  host: 127.0.0.1\n  tls_verify: true" in (tmp_path / "app.yaml").read_text()
    assert do(box, "patch_file", **args).status == "already"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("app.yaml", "port: 80", "port: 81"),
        ("app.yaml", "port: 90", "port: 81"),
        ("app.yaml", "tls_verify: true", "tls_verify: false"),
        ("app.yaml", "  tls_verify: true\n", ""),
        ("app.yaml", "max_connections: 100", "max_connections: 0"),
        ("app.yaml", "  max_connections: 100\n", ""),
        ("app.yaml", "  port: 80\n", "  port: 80\n  insecure: true\n"),
        ("app.yaml", "  port: 80", "  port: 8\x1b0"),
        ("data.yaml", "  port: 80", "  port: 81"),
        ("other.yaml", "a", "b"),
        ("/etc/hostname", "a", "b"),
    ],
)
def test_what_is_not_clear_weaker_or_not_ours_is_refused(box, tmp_path, file, old, new):
    with pytest.raises((NotAllowed, BadArguments)):
        do(box, "patch_file", file=file, old=old, new=new)
    assert (tmp_path / "app.yaml").read_text() == (tmp_path / "data.yaml").read_text() == YAML


def test_a_file_that_was_good_is_not_broken(box, tmp_path):
    with pytest.raises(NotAllowed, match="parsed"):
        do(box, "patch_file", file="app.yaml", old="server:\n", new="server: [\n")
    (tmp_path / "app.yaml").write_text("server: [\n  port: 80\n")
    assert do(box, "patch_file", file="app.yaml", old="server: [\n", new="server:\n").status == "succeeded"
