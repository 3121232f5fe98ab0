"""Every promise of every runbook in the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from devops_agent.planners.examples import Reader, losing
from devops_agent.runbooks.causes import from_data, read_data
from devops_agent.runbooks.lint import lint
from devops_agent.runbooks.load import FOLDER, build, files, library
from devops_agent.tools.registry import tools

FILES = files(FOLDER)
CASES = Path(__file__).parents[1] / "cases"
QUIET = sorted((CASES / "quiet").rglob("*.log"))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("library")
    build(FOLDER, folder / "library.json")
    return Reader(library(shipped=folder / "library.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_keeps_its_promises(path: Path) -> None:
    assert [str(problem) for problem in lint(path, tools())] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_examples_win_and_counter_examples_do_not(path: Path, reader: Reader) -> None:
    assert [str(problem) for problem in losing(reader.library, path.stem)] == []


def test_is_silent_on_healthy_logs(reader: Reader) -> None:
    said = {str(path.relative_to(CASES)): reader.diagnose(path.read_text(errors="replace")) for path in QUIET}
    assert {name: (found.cause, found.runbook) for name, found in said.items() if found.cause != "unknown"} == {}


def test_there_are_many_healthy_logs_and_each_tells_where_it_is_from() -> None:
    assert len(QUIET) >= 300
    assert [str(path) for path in QUIET if not path.name.endswith((".produced.log", ".written.log"))] == []


def test_ids_are_unique_and_no_file_is_left_out(reader: Reader) -> None:
    assert len(reader.library.runbooks) == len(FILES)
    assert reader.library.problems == ()


def test_every_cause_has_a_meaning_and_no_two_beat_each_other() -> None:
    causes = from_data(read_data())
    assert len(causes.meanings) == 101
    for inner, outers in causes.beats.items():
        for outer in outers:
            assert outer in causes.meanings
            assert not (causes.explains(inner, outer) and causes.explains(outer, inner)), (inner, outer)
    assert set(causes.symptoms) <= set(causes.meanings)


def test_what_is_planned_by_cause_names_tools_that_exist() -> None:
    causes = from_data(read_data())
    assert set(causes.planned) <= set(causes.meanings)
    catalogue = tools()
    for steps in causes.planned.values():
        for step in steps:
            assert set(step.get("params", {})) <= set(catalogue[step["tool"]].parameters)
