"""The rules of the house that no other tool keeps: sizes, cycles, names, fresh documents, nothing of this machine."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "devops_agent"
MODULES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN_NAMES = {"manager", "helper", "helpers", "utils", "util", "handler", "handlers", "service"}
REGISTRIES = (
    "pypi org",
    "files pythonhosted org",
    "registry npmjs org",
    "registry yarnpkg com",
    "repo1 maven org",
    "repo maven apache org",
    "plugins gradle org",
    "proxy golang org",
    "index crates io",
    "static crates io",
    "rubygems org",
    "api nuget org",
    "packagist org",
    "registry-1 docker io",
    "deb debian org",
    "archive ubuntu com",
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    if listed.returncode:
        pytest.skip("not a git work tree")
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        try:
            found.append((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def parsed() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES]


def test_no_file_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(PACKAGE)): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 60
    ]
    assert not long


def test_modules_are_named_for_what_they_are_about() -> None:
    assert not [str(path) for path in PACKAGE.rglob("*") if path.stem in FORBIDDEN_NAMES and path.suffix in ("", ".py")]


def test_everything_is_caught_in_the_workers_loop_only() -> None:
    broad = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node)
    ]
    carried = "scan/sweep.py"  # from its threads to the caller, who raises it again
    assert {place.split(":")[0] for place in broad} <= {"jobs/worker.py", "connect/courier.py", carried}, broad


def test_no_module_takes_part_in_an_import_cycle() -> None:
    names = {_name(path): path for path in MODULES}
    graph = {_name(path): _imports(path, tree, names) for path, tree in parsed()}
    cycles = [component for component in _components(graph) if len(component) > 1]
    assert not cycles


def test_no_shell_is_ever_started() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and any(key.arg == "shell" for key in node.keywords))
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.system", "os.popen", "subprocess.getoutput"))
    ]
    assert not found


def test_nothing_names_a_path_of_the_machine_it_was_written_on() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|farm)/\w")
    assert not [f"{name}: {found[0]}" for name, text in texts() for found in pattern.finditer(text)]


def test_nothing_names_a_package_registrys_host() -> None:
    hosts = "|".join(re.escape(each.replace(" ", ".")) for each in REGISTRIES)
    pattern = re.compile(rf"(?:https?://|host=['\"]?)(?:{hosts})\b")
    assert not [f"{name}: {found[0]}" for name, text in texts() for found in pattern.finditer(text)]


def test_documents_are_fresh_and_their_links_lead_somewhere() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.stale() == []
    assert generate.dead_links() == []


def test_every_pinned_version_satisfies_what_the_project_asks_for() -> None:
    import tomllib

    from packaging.requirements import Requirement

    pinned = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, version = line.split("#")[0].split(";")[0].strip().partition("==")
            pinned[_normal(name)] = version
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for each in map(Requirement, wanted):
        assert pinned.get(_normal(each.name)), f"{each.name} is not pinned: make lock"
        assert each.specifier.contains(pinned[_normal(each.name)]), each.name


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_broad(node: ast.ExceptHandler) -> bool:
    return node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")


def _raises_again(node: ast.ExceptHandler) -> bool:
    return isinstance(node.body[-1], ast.Raise)


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, tree: ast.Module, names: dict[str, Path]) -> set[str]:
    """Modules of the package that this one imports when it runs, also inside functions; types alone do not count."""
    found: set[str] = set()
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in names else node.module for each in inner}
    return {each for each in found if each in names and each != _name(path)} - {"devops_agent"}


def _components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            at = stack.index(node)
            found.append(stack[at:])
            del stack[at:]

    for node in graph:
        if node not in order:
            visit(node)
    return found
