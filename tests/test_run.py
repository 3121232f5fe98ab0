"""The walk: steps are kept, actions happen once, waiting lets go."""

import pytest

from devops_agent.errors import ApprovalMismatch, Suspended
from devops_agent.model import Approval, Evidence, Outcome, Plan, Ruling
from devops_agent.run import MemoryJournal, Run, attempts

ASK = Ruling(verdict="ask", rule="1", reason="asked")


def seen(text):
    return Evidence(id="x", source="test", text=text)


def done(text="done"):
    return Outcome(action_id="a1", status="succeeded", output=text)


def test_a_step_is_done_once_and_found_again():
    run = Run(MemoryJournal())
    assert run.step("look", seen, "first").text == "first"
    assert run.step("look", seen, "second").text == "first"
    assert run.scope(0).step("look", seen, "other scope").text == "other scope"


def test_a_step_that_raised_is_not_kept():
    run = Run(MemoryJournal())
    with pytest.raises(ZeroDivisionError):
        run.step("look", lambda: 1 // 0)
    assert run.step("look", seen, "now").text == "now"


def test_an_action_happens_once():
    run = Run(MemoryJournal())
    calls = []
    for _ in range(3):
        assert run.once("a1", False, lambda: calls.append(1) or done()).status == "succeeded"
    assert len(calls) == 1


@pytest.mark.parametrize(("repeatable", "status", "again"), [(False, "unknown", 0), (True, "succeeded", 1)])
def test_an_interrupted_action_is_repeated_only_where_it_may_be(repeatable, status, again):
    journal = MemoryJournal()
    with pytest.raises(KeyboardInterrupt):
        Run(journal).once("a1", repeatable, interrupted)
    assert "once/a1/started" in journal
    calls = []
    assert Run(journal).once("a1", repeatable, lambda: calls.append(1) or done()).status == status
    assert len(calls) == again


def interrupted():
    raise KeyboardInterrupt


def test_policy_decides_without_a_person():
    plan = Plan(cause="disk_full").sealed()
    allowed = Run(MemoryJournal()).approval(plan, Ruling(verdict="allow"))
    denied = Run(MemoryJournal()).approval(plan, Ruling(verdict="deny"))
    assert (allowed.granted, denied.granted) == (True, False)


def test_asking_suspends_until_somebody_decides_and_an_approval_fits_one_plan_only():
    journal = MemoryJournal()
    plan = Plan(cause="disk_full").sealed()
    with pytest.raises(Suspended) as wait:
        Run(journal).approval(plan, ASK)
    assert wait.value.reason == "approval"
    assert wait.value.until is not None
    journal.put(
        "approval", {"kind": "Approval", "data": {"fingerprint": plan.fingerprint, "granted": True, "by": "eve"}}
    )
    assert Run(journal).approval(plan, ASK).by == "eve"
    with pytest.raises(ApprovalMismatch):
        Run(journal).approval(Plan(cause="other").sealed(), ASK)


def test_an_expired_request_is_a_denial():
    run = Run(MemoryJournal(), approval_seconds=-1)
    decided = run.approval(Plan().sealed(), ASK)
    assert decided.granted is False
    assert decided.by == "expiry"


def test_answering_in_advance():
    run = Run(
        MemoryJournal(), approve=lambda plan, _ruling: Approval(fingerprint=plan.fingerprint, granted=True, by="--yes")
    )
    assert run.approval(Plan().sealed(), ASK).granted


def test_patience_looks_again_and_keeps_the_last():
    journal = MemoryJournal()
    looks = iter(["down", "down", "up"])
    for _ in range(2):
        with pytest.raises(Suspended):
            Run(journal, patience=60).patiently("v", lambda: seen(next(looks)), lambda e: e.text == "up")
    assert Run(journal, patience=60).patiently("v", lambda: seen(next(looks)), lambda e: e.text == "up").text == "up"
    assert Run(journal, patience=60).patiently("v", lambda: seen("never"), lambda _e: False).text == "up"


def test_patience_ends():
    assert Run(MemoryJournal(), patience=0).patiently("v", lambda: seen("down"), lambda _e: False).text == "down"


def test_attempts_are_read_from_the_journal():
    journal = MemoryJournal()
    for number in range(2):
        scope = Run(journal).scope(number)
        scope.step("plan", lambda n=number: Plan(cause=f"cause{n}").sealed())
        scope.once("1", False, done)
        scope.once("1", True, lambda: done("undone"), name="undo")
    made = attempts(journal)
    assert [attempt.plan.cause for attempt in made] == ["cause0", "cause1"]
    assert made[1].outcomes[0].output == "done"
    assert made[1].undone[0].output == "undone"
