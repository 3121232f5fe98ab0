"""What holds for every tool: documented, typed, with an effect; and nothing in the catalogue weakens a service."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devops_agent.errors import ConfigError, NotFound
from devops_agent.tools import catalogue, registry
from devops_agent.tools.base import Tool, change, probe

TOOLS = registry.tools()
SOURCES = sorted(Path(catalogue.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_every_tool_is_documented_and_typed(tool: Tool) -> None:
    assert tool.summary.endswith((".", ":")), tool.summary
    assert len(tool.summary) <= 250
    for name, parameter in tool.parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty, name
        assert re.fullmatch(r"[a-z][a-z_]*", name)
    json.dumps(tool.schema())
    assert (tool.effect == "read") == (tool.kind == "probe") or tool.name in ("wait_until", "run_check")


@pytest.mark.parametrize("tool", [each for each in TOOLS.values() if each.guards], ids=lambda tool: tool.name)
def test_guards_ask_only_for_what_there_is(tool: Tool) -> None:
    known = {"host", "place", *tool.parameters, *tool.pinned}
    for name, guard in tool.guards.items():
        assert set(inspect.signature(guard).parameters) <= known, name
    assert not tool.pinned or "pin" in tool.guards


@pytest.mark.parametrize(
    "tool", [each for each in TOOLS.values() if each.effect == "destroy"], ids=lambda tool: tool.name
)
def test_what_destroys_tests_its_own_precondition(tool: Tool) -> None:
    own = ("grow_volume", "end_idle_sessions")  # nothing is lost; its one statement names session, start and state
    assert "precondition" in tool.guards or tool.name in own


@pytest.mark.parametrize("name", ["read_log", "increase_memory", "rerun_test", "increase_timeout", "free_port"])
def test_the_tools_that_clients_know_keep_their_parameters(name: str) -> None:
    known = {"read_log": [], "increase_memory": ["mb"], "rerun_test": ["test_id"]}
    known |= {"increase_timeout": ["seconds"], "free_port": ["port"]}
    assert TOOLS[name].schema().get("required", []) == known[name]


FORBIDDEN = re.compile(
    r"^(--force|-f\w*force|--force-with-lease|--no-verify|--insecure|777|a\+rwx|o\+w|0777|--privileged|--no-check-certificate"
    r"|--allow-unauthenticated|--trusted-host|setenforce|SUPERUSER|NOPASSWD:.*|-9|sudo)$"
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_nothing_weakens_and_nothing_is_a_shell_line(source: Path) -> None:
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not FORBIDDEN.match(node.value), f"{source.name}:{node.lineno}: {node.value}"
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                assert keyword.arg != "shell", f"{source.name}:{node.lineno}"
        if isinstance(node, ast.Tuple | ast.List):
            words = [each.value for each in node.elts if isinstance(each, ast.Constant)]
            shell = [word for word in words[:1] if word in ("sh", "bash", "/bin/sh", "/bin/bash")]
            assert not ("curl" in words and "-k" in words), f"{source.name}:{node.lineno}: a check switched off"
            assert not (shell and "-c" in words), f"{source.name}:{node.lineno}: a shell line"


def test_near_names_are_offered() -> None:
    with pytest.raises(NotFound, match="free_port"):
        registry.tool("free_prot")


def test_a_name_cannot_be_taken_twice() -> None:
    def free_port() -> None:
        """Another one."""

    free_port.__module__ = __name__
    module = type(sys)(__name__)
    module.other = probe(free_port)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="exists already"):
        registry._collect(module, dict(TOOLS))


def test_effects_are_declared() -> None:
    made = change(effect="destroy")(lambda: iter(()))
    assert (made.kind, made.effect, made.repeatable) == ("change", "destroy", False)


def test_the_toolbox_is_loaded_quickly_and_without_heavy_libraries() -> None:
    script = (
        "import sys; import devops_agent.tools.toolbox, devops_agent.tools.registry as r; r.tools()\n"
        "heavy = ('sqlalchemy', 'flask', 'hyperscan', 'rich', 'httpx', 'psutil', 'tomlkit', 'ruamel')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert ended.stdout.strip() == "[]"
