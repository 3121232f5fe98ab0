"""Learning: what is counted when jobs end and when persons speak, how far it moves a confidence, what is told of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from devops_agent import bootstrap
from devops_agent.config import Settings
from devops_agent.errors import NotFound, RequestError
from devops_agent.inventory import Place
from devops_agent.jobs import audit, experience, tables, trends
from devops_agent.jobs.statistics import View, of_runbook, statistics
from devops_agent.jobs.store import Jobs
from devops_agent.jobs.tables import open_engine
from devops_agent.jobs.worker import Worker
from devops_agent.model import Attempt, Diagnosis, Incident, Report
from devops_agent.planners.experience import Tally, moved
from pipeline_parts import Wanting, agent, healthy_when, incident, step

TEXT = """
id: {id}
cause: {cause}
title: The frobnicator
description: Something.
references: [https://example.test/doc]
match: {{any: ['{words}']}}
advice: [look]
examples: {{match: ['{words}'], ignore: [fine]}}
"""
LOG = "step one\nERROR: frobnicator has left the building\nexit code 9\n"


class Desk:
    """Own runbooks in a folder, a store, and a worker with the real planner."""

    def __init__(self, folder: Path) -> None:
        self.own = folder / "own"
        self.own.mkdir()
        self.write("frobnicator", "config_invalid", "frobnicator has left")
        self.settings = Settings(data_dir=folder / "data", runbooks=self.own, patience_seconds=0)
        self.jobs = bootstrap.open_jobs(self.settings)
        self.worker = bootstrap.build_worker(self.settings, self.jobs, bootstrap.build_agent(self.settings))

    def write(self, key: str, cause: str, words: str) -> None:
        file = self.own / f"{key}.yaml"
        file.write_text(TEXT.format(id=key, cause=cause, words=words))
        os.utime(file, ns=(time.time_ns(), time.time_ns()))

    def handled(self, log: str = LOG, title: str = "deploy failed") -> Report:
        job = self.jobs.submit([Incident(id="inc", title=title, log=log)]).jobs[0]
        assert self.worker.work(job)
        return self.jobs.report(job)

    def say(self, made: Report, cause: str, by: str = "ada", reason: str = "") -> experience.Said:
        return experience.say(self.jobs.engine, made, cause, by, reason)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def answer(made: Report) -> Any:
    diagnosis = made.attempts[-1].diagnosis
    assert diagnosis is not None
    return diagnosis


def counted(desk: Desk) -> experience.Counted:
    return experience.of_runbook(desk.jobs.engine, "frobnicator")[0]


def test_persons_confirm_and_correct_and_the_confidence_moves_a_little(desk: Desk) -> None:
    first = desk.handled()
    assert (answer(first).cause, answer(first).judged) == ("config_invalid", 0)
    assert desk.say(first, "config_invalid").confirmed
    second = desk.handled()
    assert (answer(second).right, answer(second).judged) == (1, 1)
    assert abs(answer(second).confidence - answer(first).confidence) < 0.02
    for _ in range(4):
        assert not desk.say(desk.handled(), "disk_full").confirmed
    after = desk.handled()
    assert (answer(after).right, answer(after).judged) == (1, 5)
    assert answer(after).confidence < answer(first).confidence - 0.2
    other = desk.handled("step\nanother thing\nERROR: the frobnicator has left the house\nexit code 3\n")
    assert answer(after).confidence < answer(other).confidence < answer(first).confidence
    row = counted(desk)
    assert (row.fired, row.confirmed, row.corrected, row.right, row.judged) == (8, 1, 4, 1, 5)


def test_the_last_word_counts_and_all_words_are_on_the_trail(desk: Desk) -> None:
    made = desk.handled()
    desk.say(made, "disk_full", "ada", "it was full")
    desk.say(made, "config_invalid", "bob")
    row = counted(desk)
    assert (row.confirmed, row.corrected, row.right, row.judged) == (1, 0, 1, 1)
    assert made.job is not None
    trail = [(each.event, each.actor) for each in audit.entries(desk.jobs.engine, made.job)]
    assert trail[-2:] == [("cause corrected", "ada"), ("cause confirmed", "bob")]
    assert audit.entries(desk.jobs.engine, made.job)[-2].data["reason"] == "it was full"
    assert list(audit.broken(desk.jobs.engine)) == []
    kept = experience.verdict(desk.jobs.engine, made.job)
    assert kept is not None
    assert (kept["cause"], kept["by"], kept["confirmed"]) == ("config_invalid", "bob", True)


def test_what_cannot_be_said_is_refused(desk: Desk) -> None:
    made = desk.handled()
    with pytest.raises(RequestError, match=r"cause: .disk_ful. is no known cause .perhaps .*disk_full"):
        desk.say(made, "disk_ful")
    with pytest.raises(NotFound):
        desk.say(made.model_copy(update={"job": "job_x"}), "disk_full")
    healthy = desk.handled("collected 3 items\n\n3 passed in 0.12s\n")
    with pytest.raises(RequestError, match="no failure"):
        desk.say(healthy, "disk_full")
    job = desk.jobs.submit([Incident(id="i", title="t", log="x")]).jobs[0]
    with pytest.raises(RequestError, match="has not ended"):
        desk.say(made.model_copy(update={"job": job}), "disk_full")


def test_statistics_tell_what_fails_stays_unknown_and_never_fires(desk: Desk) -> None:
    for _ in range(2):
        desk.handled()
    desk.handled("ERROR: nobody knows these words at all\nexit code 7\n", "strange")
    said = statistics(desk.jobs.engine, ["frobnicator", "never"])
    assert [(each["cause"], each["fired"]) for each in said["fails_most"]] == [("config_invalid", 2)]
    assert [(each["example"], each["times"]) for each in said["stays_unknown"]] == [("strange", 1)]
    assert said["never_fired"] == ["never"]
    assert said["answers"] == 3
    assert said["jobs_by_outcome"] == {"needs_person": 3}
    json.dumps(said)


def test_counts_outlive_the_jobs(desk: Desk) -> None:
    desk.handled()
    assert desk.jobs.forget(days=-1) == 1
    assert counted(desk).fired == 1


def test_a_remedy_that_helped_is_a_right_answer_until_a_person_says_otherwise(tmp_path: Path) -> None:
    jobs = Jobs(open_engine(f"sqlite:///{tmp_path / 'jobs.db'}"))
    file = tmp_path / "file"
    made = agent(Wanting([[step(file)]]), tmp_path / "data", Place(healthy_when(file, "x"), folder=tmp_path))
    job = jobs.submit([incident()]).jobs[0]
    assert Worker(jobs, made, patience=0, data_dir=tmp_path / "data").work(job)
    report = jobs.report(job)
    assert report.status == "resolved"
    key = answer(report).runbook or ""
    row = experience.of_runbook(jobs.engine, key)[0]
    assert (row.acted, row.resolved, row.right, row.judged) == (1, 1, 1, 1)
    assert statistics(jobs.engine, [])["solved"] == {"repaired": 1, "without_a_person": 1, "acted": 1}
    wrong = "deadlock" if answer(report).cause != "deadlock" else "disk_full"
    experience.say(jobs.engine, report, wrong, "ada")
    row = experience.of_runbook(jobs.engine, key)[0]
    assert (row.resolved, row.right, row.judged) == (1, 0, 1)
    experience.say(jobs.engine, report, answer(report).cause, "ada")
    row = experience.of_runbook(jobs.engine, key)[0]
    assert (row.right, row.judged) == (1, 1)


def test_small_numbers_move_little_and_large_ones_much() -> None:
    assert moved(0.9, (Tally(), Tally())) == 0.9
    assert 0.85 < moved(0.9, (Tally(0, 1), Tally())) < 0.9
    assert moved(0.9, (Tally(0, 200), Tally())) < 0.1
    assert moved(0.5, (Tally(1000, 0), Tally(1000, 0))) == 0.99


def test_a_changed_runbook_is_used_by_the_next_job_and_a_broken_one_changes_nothing(desk: Desk) -> None:
    assert answer(desk.handled()).cause == "config_invalid"
    desk.write("frobnicator", "file_not_found", "frobnicator has left")
    assert answer(desk.handled()).cause == "file_not_found"
    desk.write("second", "no_such_cause", "whatever it is")
    assert answer(desk.handled()).cause == "file_not_found"
    assert desk.worker.shelf is not None
    assert "second.yaml: cause: 'no_such_cause'" in (desk.worker.shelf.problem or "")
    (desk.own / "second.yaml").write_text("id: [half written")
    assert answer(desk.handled()).cause == "file_not_found"
    assert "second.yaml" in (desk.worker.shelf.problem or "")
    (desk.own / "second.yaml").unlink()
    assert answer(desk.handled()).cause == "file_not_found"
    assert desk.worker.shelf.problem is None


def test_a_runbook_that_would_fail_in_use_is_refused_with_its_field(desk: Desk) -> None:
    text = TEXT.format(id="frobnicator", cause="config_invalid", words="frobnicator has left")
    for more, field in {
        "observe: [{name: a, probe: no_such_probe}]": "observe.a: there is no probe no_such_probe",
        "findings: [{id: a, summary: s, when: ['nonsense here']}]": "findings.a.when: ",
    }.items():
        (desk.own / "frobnicator.yaml").write_text(text + more + "\n")
        assert answer(desk.handled()).cause == "config_invalid"
        assert desk.worker.shelf is not None
        assert f"frobnicator.yaml: {field}" in (desk.worker.shelf.problem or "")


def test_what_a_planner_calls_its_finding_fits_the_database(database: str) -> None:
    said = Diagnosis(cause="c" * 100, confidence=0.5, summary="s", planner="p", runbook="r" * 100, finding="f" * 300)
    made = Report(incident=Incident(id="inc_1", title="t"), attempts=(Attempt(diagnosis=said),), status="unresolved")
    engine = open_engine(database)
    with engine.begin() as connection:
        experience.count(connection, "job_1", made)
    with engine.connect() as connection:
        row = connection.execute(select(tables.experience)).mappings().one()
    assert row["finding"] == "f" * 80
    assert row["fired"] == 1


def test_figures_of_some_places_on_both_databases(database: str, tmp_path: Path) -> None:
    jobs = Jobs(open_engine(database))
    file = tmp_path / "file"
    made = agent(Wanting([[step(file)]]), tmp_path / "data", Place(healthy_when(file, "x"), folder=tmp_path, name="a"))
    made.places["b"] = made.places["a"]
    for place in ("a", "b", None):
        job = jobs.submit([incident().model_copy(update={"place": place})]).jobs[0]
        assert Worker(jobs, made, patience=0, data_dir=tmp_path / "data").work(job)
    said = {name: statistics(jobs.engine, [], view=View(places, "ann")) for name, places in PLACES.items()}
    assert {name: each["answers"] for name, each in said.items()} == {"all": 3, "a": 1, "b and none": 2, "no": 0}
    assert said["a"]["solved"] == {"repaired": 1, "without_a_person": 1, "acted": 1}
    assert said["no"]["fails_most"] == said["no"]["stays_unknown"] == []
    assert sum(each.total for each in trends.days(jobs.engine, 7, {"b", None})) == 2
    assert sum(number for _, number, _ in trends.times(jobs.engine, 7, {"a"})) == 1
    assert of_runbook(jobs.engine, "none", {"a"}) == []


PLACES = {"all": None, "a": {"a"}, "b and none": {"b", None}, "no": {"nowhere"}}
