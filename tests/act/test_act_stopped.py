"""The kill switch in the middle of a repair: nothing more is changed, and what was left as it was is told."""

from __future__ import annotations

from pathlib import Path

from devops_agent.inventory import Place
from devops_agent.jobs.brakes import KILL_SWITCH
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.model import Report, Step
from pipeline_parts import Wanting, agent, healthy_when, incident, step


def repaired(folder: Path, *steps: Step) -> tuple[Report, Worker]:
    """What became of an incident whose plan this is, worked on by a real worker with a store."""
    data = folder / "data"
    place = Place(healthy_when(folder / "file", "xy"), folder=folder)
    jobs = Jobs(open_engine(f"sqlite:///{data / 'jobs.db'}"))
    worker = Worker(jobs, agent(Wanting([list(steps)]), data, place), 0, 60.0, data)
    job = jobs.submit([incident()], "eve", {}).jobs[0]
    worker.work_until_answered(job)
    return jobs.report(job), worker


def stop(folder: Path) -> Step:
    """A person who throws the switch while an action of the plan is under way."""
    return step(folder / "data" / KILL_SWITCH, "")


def test_without_it_all_is_done(tmp_path: Path) -> None:
    report, _ = repaired(tmp_path, step(tmp_path / "file", "x"), step(tmp_path / "file", "y"))
    assert report.status == "resolved"


def test_what_had_not_begun_is_skipped_and_nothing_is_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "file"
    report, _ = repaired(tmp_path, step(file, "x"), stop(tmp_path), step(file, "y"), step(file, "z"))
    last = report.attempts[-1]
    assert [one.status for one in last.outcomes] == ["succeeded", "succeeded", "skipped", "skipped"]
    assert {one.status for one in last.undone} == {"skipped"}
    assert file.read_text() == "x"
    assert len(report.attempts) == 1
    assert report.status == "unresolved"
    for told in ("kill switch is on", "not done: append, append", "not taken back: append, append"):
        assert told in report.summary
    assert "was undone" not in report.summary


def test_it_is_not_gone_on_with_when_the_switch_is_off_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    report, worker = repaired(tmp_path, step(file, "x"), stop(tmp_path), step(file, "y"))
    (tmp_path / "data" / KILL_SWITCH).unlink()
    assert not worker.work(report.job)
    assert file.read_text() == "x"
