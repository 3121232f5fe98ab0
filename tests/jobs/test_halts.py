"""The kill switch for all machines: it holds from the next look on, everywhere or in one place, until it is ended."""

import pytest

from devops_agent.errors import NotFound
from devops_agent.jobs import audit, halts
from devops_agent.jobs.brakes import KILL_SWITCH, Brakes
from devops_agent.jobs.tables import open_engine
from devops_agent.model import Plan
from devops_agent.policy import Policy


@pytest.fixture
def engine(database):
    made = open_engine(database)
    yield made
    made.dispose()


def brakes(engine, place, folder=None):
    return Brakes(engine, "job", Policy(), folder, place)


def test_it_holds_everywhere_until_it_is_ended(engine):
    one, two = brakes(engine, "shop"), brakes(open_engine(engine.url.render_as_string(hide_password=False)), None)
    assert (one.stopped(), two.stopped()) == (None, None)
    made = halts.halt(engine, "ann", " wrong repairs ")
    assert one.stopped().startswith("the kill switch is on (ann, ")
    assert one.stopped().endswith(" UTC: wrong repairs)")
    assert two.stopped() == one.stopped()
    assert (one.check(Plan(cause="disk_full")).verdict, one.check(Plan(cause="disk_full")).rule) == (
        "deny",
        "kill switch",
    )
    ended = halts.end(engine, made.id, "bob")
    assert (ended.ended_by, ended.ended > made.since) == ("bob", True)
    assert (one.stopped(), two.stopped()) == (None, None)
    two.engine.dispose()


def test_one_place_alone(engine):
    halts.halt(engine, "ann", "", "shop")
    assert brakes(engine, "shop").stopped() is not None
    assert brakes(engine, "bank").stopped() is None
    assert [each.place for each in halts.listed(engine, {"shop"})] == ["shop"]
    assert halts.listed(engine, {"bank"}) == []


def test_the_file_holds_for_one_machine_whatever_the_database_says(engine, tmp_path):
    (tmp_path / KILL_SWITCH).touch()
    assert KILL_SWITCH in brakes(engine, "shop", tmp_path).stopped()


def test_ending_one_leaves_the_other_and_twice_is_once(engine):
    one, two = halts.halt(engine, "ann", "first"), halts.halt(engine, "bob", "second")
    halts.end(engine, one.id, "ann")
    assert halts.end(engine, one.id, "eve").ended_by == "ann"
    assert "second" in brakes(engine, None).stopped()
    assert [each.id for each in halts.listed(engine)] == [two.id]
    assert [each.id for each in halts.listed(engine, ended=True)] == [two.id, one.id]
    with pytest.raises(NotFound):
        halts.end(engine, "halt_nothing", "ann")


def test_it_is_on_the_trail(engine):
    made = halts.halt(engine, "ann", "why", "shop")
    halts.end(engine, made.id, "bob")
    halts.end(engine, made.id, "bob")
    told = [(each.job, each.event, each.actor, each.data) for each in audit.entries(engine)]
    assert told == [
        (halts.SUBJECT, "halted", "ann", {"halt": made.id, "place": "shop", "reason": "why"}),
        (halts.SUBJECT, "halt ended", "bob", {"halt": made.id}),
    ]
    assert list(audit.broken(engine)) == []


def test_a_secret_in_the_reason_is_kept_nowhere(engine):
    made = halts.halt(engine, "ann", "the token=ghp_16C7e42F292c6912E7710c838347Ae178B4a leaked")
    halts.end(engine, made.id, "password=hunter2secret")
    kept = repr((halts.listed(engine, ended=True), [each.data for each in audit.entries(engine)], made))
    assert "16C7e42F" not in kept
    assert "hunter2secret" not in kept
    assert "leaked" in made.reason


def test_a_place_that_nobody_knows_is_refused():
    with pytest.raises(NotFound, match="known: bank, shop"):
        halts.require_known("shpo", ["shop", "bank"])
