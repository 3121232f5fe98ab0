"""The page, walked with real tools on real files: what is done, proven, undone, asked, refused."""

import pytest

from devops_agent.errors import Suspended
from devops_agent.inventory import Inventory, Place
from devops_agent.model import Check, Step, keep
from devops_agent.pipeline import handle
from devops_agent.policy import Fit, Policy
from devops_agent.report import progress, report
from devops_agent.run import MemoryJournal, Run
from pipeline_parts import ALLOW, Wanting, agent, healthy_when, incident, step

ASK = Policy((("ask", Fit()),))


def walk(planner, tmp_path, inventory=None, policy=ALLOW, journal=None, **more):
    place = Place(inventory, folder=tmp_path)
    journal = MemoryJournal() if journal is None else journal
    run = Run(journal, patience=0, **{key: more.pop(key) for key in ("dry_run", "approve") if key in more})
    handle(incident(), agent(planner, tmp_path / "data", place, policy, **more), place, run)
    return report(incident(), journal, run.dry_run)


def test_a_repair_is_proven(tmp_path):
    file = tmp_path / "file"
    made = walk(Wanting([[step(file)]]), tmp_path, healthy_when(file, "x"))
    assert made.status == "resolved"
    assert [outcome.status for outcome in made.attempts[0].outcomes] == ["succeeded"]
    assert made.attempts[0].verification.before[0].passed is False
    assert made.attempts[0].verification.after[0].passed is True
    assert "Repaired and proven" in made.summary


def test_what_did_not_help_is_undone_and_the_next_attempt_may(tmp_path):
    file = tmp_path / "file"
    made = walk(Wanting([[step(file, "wrong")], [step(file, "x")]]), tmp_path, healthy_when(file, "x"))
    assert made.status == "resolved"
    assert [outcome.status for outcome in made.attempts[0].undone] == ["succeeded"]
    assert file.read_text() == "x"


def test_an_action_that_failed_half_way_is_taken_back_though_the_cause_is_gone(tmp_path):
    good, half = tmp_path / "good", tmp_path / "half"
    gone = (Check(probe="content", args={"path": str(good)}, expect=("result.text == 'x'",)),)
    steps = [step(good), Step(tool="append_and_fail", args={"path": str(half)})]
    made = walk(Wanting([steps], gone), tmp_path, healthy_when(tmp_path / "never", "x"))
    assert made.attempts[0].verification.cause_gone is True
    assert [(undone.action_id, undone.status) for undone in made.attempts[0].undone] == [("a2", "succeeded")]
    assert (good.read_text(), half.read_text()) == ("x", "")


def test_the_same_repair_is_not_tried_again(tmp_path):
    file = tmp_path / "file"
    made = walk(Wanting([[step(file, "wrong")]]), tmp_path, healthy_when(file, "x"))
    assert made.status == "unresolved"
    assert sum(bool(attempt.outcomes) for attempt in made.attempts) == 1
    assert file.read_text() == ""


def test_a_dry_run_changes_nothing(tmp_path):
    file = tmp_path / "file"
    made = walk(Wanting([[step(file)]]), tmp_path, healthy_when(file, "x"), dry_run=True)
    assert made.status == "planned"
    assert made.attempts[0].plan.actions[0].commands[0].argv[-1] == "x"
    assert not file.exists()


def test_denied_by_policy(tmp_path):
    file = tmp_path / "file"
    made = walk(Wanting([[step(file)]]), tmp_path, healthy_when(file, "x"), policy=Policy(()))
    assert made.status == "needs_person"
    assert "not approved" in made.summary
    assert not file.exists()


def test_a_plan_waits_for_a_person_and_is_executed_once_approved(tmp_path):
    file = tmp_path / "file"
    journal = MemoryJournal()
    planner, health = Wanting([[step(file)]]), healthy_when(file, "x")
    with pytest.raises(Suspended):
        walk(planner, tmp_path, health, ASK, journal)
    waiting = report(incident(), journal)
    assert waiting.status == "needs_approval"
    assert not file.exists()
    plan = waiting.attempts[0].plan
    approval = {"fingerprint": plan.fingerprint, "granted": True, "by": "eve"}
    journal.put("0/approval", {"kind": "Approval", "data": approval})
    made = walk(planner, tmp_path, health, ASK, journal)
    assert made.status == "resolved"
    assert file.read_text() == "x"


def test_a_service_that_recovered_while_we_waited_is_left_alone(tmp_path):
    file = tmp_path / "file"
    journal = MemoryJournal()
    planner, health = Wanting([[step(file, "again")]]), healthy_when(file, "x")
    with pytest.raises(Suspended):
        walk(planner, tmp_path, health, ASK, journal)
    file.write_text("x")
    plan = report(incident(), journal).attempts[0].plan
    granted = {"kind": "Approval", "data": {"fingerprint": plan.fingerprint, "granted": True, "by": "eve"}}
    journal.put("0/approval", granted)
    made = walk(planner, tmp_path, health, ASK, journal)
    assert made.attempts[0].recheck.needed is False
    assert made.attempts[0].outcomes == ()
    assert made.status == "resolved"
    assert file.read_text() == "x"


def test_after_an_action_that_failed_the_rest_are_skipped(tmp_path):
    file = tmp_path / "file"
    steps = [step(tmp_path / "missing/file"), step(file)]
    made = walk(Wanting([steps]), tmp_path, healthy_when(file, "x"))
    assert [outcome.status for outcome in made.attempts[0].outcomes] == ["failed", "skipped"]
    assert made.status == "unresolved"
    assert not file.exists()


@pytest.mark.parametrize(
    "refused",
    [
        Step(tool="no_such_tool"),
        Step(tool="append", args={"path": "/x"}),
        Step(tool="append", args={"path": "/x", "text": "y", "shell": "rm -rf /"}),
        Step(tool="free_port", args={"port": "80; reboot"}),
        Step(tool="free_port", args={"port": 70000}),
    ],
)
def test_a_step_that_its_tool_refuses_spoils_the_plan(tmp_path, refused):
    file = tmp_path / "file"
    made = walk(Wanting([[step(file), refused]]), tmp_path, healthy_when(file, "x"))
    assert made.status == "needs_person"
    assert made.attempts[0].plan.actions == ()
    assert made.attempts[0].plan.refused[0].tool == refused.tool
    assert not file.exists()


def test_nothing_is_called_resolved_without_a_proof(tmp_path):
    file = tmp_path / "file"
    assert walk(Wanting([[step(file)]]), tmp_path).status == "unresolved"


def test_a_check_of_the_runbook_is_a_proof_where_we_acted(tmp_path):
    file = tmp_path / "file"
    gone = (Check(probe="content", args={"path": str(file)}, expect=("result.text == 'x'",)),)
    made = walk(Wanting([[step(file)]], gone), tmp_path)
    assert made.status == "resolved"
    assert made.attempts[0].verification.cause_gone is True


def test_a_place_that_was_healthy_all_along_proves_nothing(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    made = walk(Wanting([[]]), tmp_path, healthy_when(file, "x"))
    assert made.status == "needs_person"


def test_a_check_that_changes_something_is_part_of_the_plan(tmp_path):
    file, deployed = tmp_path / "file", tmp_path / "deployed"
    health = healthy_when(file, "x").model_dump()
    health["checks"]["deploy"] = {"command": ["touch", str(deployed)], "effect": "change"}
    journal = MemoryJournal()
    inventory = Inventory.model_validate(health)
    with pytest.raises(Suspended):
        walk(Wanting([[step(file)]]), tmp_path, inventory, ASK, journal)
    assert [action.tool for action in report(incident(), journal).attempts[0].plan.actions] == ["append", "run_check"]
    assert not deployed.exists()
    assert walk(Wanting([[step(file)]]), tmp_path, inventory).status == "resolved"
    assert deployed.exists()


def test_walking_again_does_nothing_twice(tmp_path):
    file = tmp_path / "file"
    journal = MemoryJournal()
    planner, health = Wanting([[step(file)]]), healthy_when(file, "x")
    first = walk(planner, tmp_path, health, journal=journal)
    kept = dict(journal)
    assert walk(planner, tmp_path, health, journal=journal).attempts == first.attempts
    assert dict(journal) == kept
    assert file.read_text() == "x"


def test_progress_only_grows(tmp_path):
    file = tmp_path / "file"
    journal = MemoryJournal()
    walk(Wanting([[step(file, "wrong")], [step(file, "x")]]), tmp_path, healthy_when(file, "x"), journal=journal)
    names = journal.names()
    values = [progress(names[:count]) for count in range(len(names) + 1)]
    assert values == sorted(values)
    assert values[0] == 0
    assert len(set(values)) > 5


def test_records_survive_the_journal(tmp_path):
    made = walk(Wanting([[step(tmp_path / "file")]]), tmp_path, healthy_when(tmp_path / "file", "x"))
    plan = made.attempts[0].plan
    assert type(plan).model_validate(keep(plan)["data"]).sealed().fingerprint == plan.fingerprint
