"""Work of many threads, done by one of them: nobody is forgotten, nobody waits for a group that is not its own."""

import threading
import time

import pytest

from devops_agent.jobs.together import Together


def run(*calls):
    """All at the same time; what they raised."""
    raised = []

    def one(call):
        try:
            call()
        except ZeroDivisionError as failure:
            raised.append(failure)

    threads = [threading.Thread(target=one, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def test_each_item_is_done_once_in_groups():
    groups = []

    def work(items):
        time.sleep(0.005)
        groups.append(list(items))

    together = Together(work)
    mine = [[(thread, number) for number in range(50)] for thread in range(8)]
    run(*(lambda items=items: [together.add(item, 0.002) for item in items] for items in mine))
    assert sorted(item for group in groups for item in group) == sorted(item for items in mine for item in items)
    assert len(groups) < 200, "who came while a group was at work was not put together"


def test_who_comes_alone_waits_for_nobody():
    together = Together(lambda items: None)
    begun = time.monotonic()
    for number in range(20):
        together.add(number, patience=60.0)
    assert time.monotonic() - begun < 30


def test_those_that_were_there_are_waited_for_and_no_longer_than_that():
    sizes = []
    first, go_on = threading.Event(), threading.Event()

    def work(items):
        sizes.append(len(items))
        if len(sizes) == 1:
            first.set()
            assert go_on.wait(30)

    together = Together(work)

    def follow():
        assert first.wait(30)
        together.add("later", patience=0.2)

    def release():
        while len(together._coming) < 3:
            time.sleep(0.001)
        go_on.set()

    run(lambda: together.add("first"), follow, follow, follow, release)
    assert sizes == [1, 3], "the three that came meanwhile waited in vain for a fourth, and then were done"


def test_a_group_that_breaks_off_does_not_stop_the_next():
    def work(items):
        if "bad" in items:
            raise ZeroDivisionError

    together = Together(work)
    with pytest.raises(ZeroDivisionError):
        together.add("bad")
    done = []
    assert not run(*(lambda: done.append(together.add("good", 0.001)) for _ in range(8)))
    assert len(done) == 8
    broken = run(*(lambda item=item: together.add(item, 0.001) for item in ["good", "bad", "good", "bad"] * 5))
    assert 1 <= len(broken) <= 10
    together.add("good")
