"""Logs that end badly without a word of the tool, and archives that break off: neither is healthy."""

import bz2
import gzip
import lzma

import pytest
import zstandard

from devops_agent.distil import distil_source
from devops_agent.errors import RequestError
from devops_agent.scan import Signatures

STEPS = "".join(f"compiling module_{number}.c\n" for number in range(400))


@pytest.mark.parametrize(
    "last",
    [
        "Killed",
        "Segmentation fault (core dumped)",
        "bin/build: line 12: 4711 Killed                  cc1 -O2 big.c",
        "Aborted (core dumped)\n\n",
    ],
)
def test_a_log_that_ends_with_a_signal_fails(last):
    assert distil_source((STEPS + last).encode(), Signatures([])).failing


@pytest.mark.parametrize("last", ["Killed 3 stale workers, going on", "Killed processes: none", "compiling killed.c"])
def test_the_same_words_in_a_sentence_do_not_say_so(last):
    assert not distil_source((STEPS + last).encode(), Signatures([])).failing


def test_a_signal_that_was_got_over_does_not_say_so():
    assert not distil_source(f"Killed\n{STEPS}all done\n".encode(), Signatures([])).failing


PACKS = [gzip.compress, lzma.compress, bz2.compress, zstandard.compress]


@pytest.mark.parametrize(("pack", "cut"), [(gzip.compress, 10), (lzma.compress, 14), (bz2.compress, 14), (PACKS[3], 6)])
def test_an_archive_of_which_only_the_beginning_is_there_is_no_empty_log(pack, cut):
    with pytest.raises(RequestError, match="nothing of it can be expanded"):
        distil_source(pack(b"ERROR: it broke\nexit status 1\n")[:cut], Signatures([]))


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.compress])
def test_an_archive_of_nothing_is_an_empty_log(pack):
    assert distil_source(pack(b""), Signatures([])).lines_read == 0
