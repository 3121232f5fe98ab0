"""The same text gives the same digest without reading it again, as long as signatures and terms are the same."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from devops_agent.distil import digest as stage
from devops_agent.distil import distil, distil_source
from devops_agent.distil.memory import KEPT, SHORT, Digests
from devops_agent.distil.redact import also
from devops_agent.model import Incident
from devops_agent.scan import Pattern, Signatures, literals

LOG = "starts\nERROR: disk sda is on fire\nexit code 1\n"


def signatures(owner: str = "fire", source: str = r"disk (?P<resource>\w+) is on fire") -> Signatures:
    return Signatures([Pattern(owner, 0, "any", source, literals(source))])


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    monkeypatch.setattr(stage, "_LATELY", Digests())


def incident(log: str = LOG, **more) -> Incident:
    return Incident(id="i", log=log, **more)


def test_the_same_text_is_read_once_and_as_if_it_were_read_anew():
    own = signatures()
    first = distil(incident(), own)
    assert distil(incident(), own) is first
    assert first == distil_source(LOG.encode(), own)
    assert distil(incident(LOG + "more\n"), own) != first
    assert len(distil(incident(), own, lines=1).evidence) == 1


def test_other_signatures_are_asked_even_where_only_their_owner_differs():
    one, two = signatures("fire"), signatures("blaze")
    assert one.fingerprint == two.fingerprint
    assert [hit.signature for hit in distil(incident(), one).hits] == ["fire"]
    assert [hit.signature for hit in distil(incident(), two).hits] == ["blaze"]
    assert [hit.signature for hit in distil(incident(), one).hits] == ["fire"]


def test_a_file_and_a_baseline_are_read_each_time(tmp_path):
    own = signatures()
    file, passing = tmp_path / "a.log", tmp_path / "passing.log"
    file.write_text(LOG)
    passing.write_text(LOG)
    plain = distil(incident(), own)
    assert distil(incident(baseline_file=str(passing)), own).mode == "baseline" != plain.mode
    before = distil(incident("", log_file=str(file)), own)
    file.write_text("all is well\n")
    assert distil(incident("", log_file=str(file)), own) != before


def test_new_expressions_for_secrets_count_at_once():
    own = signatures()
    try:
        assert "sda" in distil(incident(), own).evidence[1].text
        also([r"sd[a-z]\b"])
        assert "sda" not in distil(incident(), own).evidence[1].text
    finally:
        also([])


def test_it_is_bounded():
    own, kept, made = signatures(), Digests(), []

    def make():
        made.append(1)
        return distil_source(b"x", own)

    for number in range(KEPT + 5):
        kept.of(str(number), own, 50, make)
    assert len(kept._kept) == KEPT
    kept.of("0", own, 50, make)
    kept.of(str(KEPT), own, 50, make)
    assert len(made) == KEPT + 6, "the oldest was forgotten, a later one was not"
    long = "x" * (SHORT + 1)
    assert kept.of(long, own, 50, make) is not kept.of(long, own, 50, make)


def test_many_threads_and_two_sets_of_signatures():
    sets = {"fire": signatures("fire"), "blaze": signatures("blaze")}

    def ask(number: int) -> bool:
        owner = "fire" if number % 3 else "blaze"
        return {hit.signature for hit in distil(incident(LOG * (number % 5 + 1)), sets[owner]).hits} == {owner}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))
