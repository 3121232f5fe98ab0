"""One pass over real files, with hyperscan and without it; the kept compiled form and whom it is taken from."""

import stat
import sys
from pathlib import Path

import pytest

from devops_agent.scan import compiled
from devops_agent.scan.compiled import Compiled, Unavailable
from devops_agent.scan.sweep import BLOCK, KEPT, Sweep, sweep

pytest.importorskip("hyperscan")
EXPRESSIONS = [(r"panic: ", False), (r"exit code [1-9]", False), (r"no space left", True)]


def scanned(path: Path, folder: Path | None) -> Sweep:
    data = path.read_bytes()

    def read(view: memoryview, at: int) -> int:
        piece = data[at : at + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    return sweep(read, len(data), "test", lambda: EXPRESSIONS, folder)


def big(path: Path) -> list[int]:
    """A file of several blocks; gives where the matches end."""
    ends = []
    with path.open("wb") as file:
        for number in range(60_000):
            line = b"line %d of nothing in particular\n" % number
            if number in (10, 30_000, 59_999):
                line = b"panic: at %d\n" % number
                ends.append(file.tell() + len(b"panic: "))
            file.write(line)
    return ends


def test_places_and_line_feeds(tmp_path: Path) -> None:
    path = tmp_path / "log"
    ends = big(path)
    found = scanned(path, tmp_path / "cache")
    assert found.places == {0: ends}
    assert found.total == 60_000
    assert path.stat().st_size > 5 * BLOCK
    at, before = found.before(ends[1])
    data = path.read_bytes()
    assert before == data.count(b"\n", 0, at)
    for offset in (0, 5, len(data) // 2, len(data) - 1, BLOCK, 3 * BLOCK + 1, 1):
        start, count = found.before(offset)
        assert count == data.count(b"\n", 0, start)
        assert start <= offset < start + BLOCK
    assert found.known == sorted(set(found.known))


def test_the_same_without_hyperscan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    big(path)
    with_it = scanned(path, None)
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    with pytest.raises(Unavailable):
        Compiled("test", lambda: EXPRESSIONS, None)
    assert scanned(path, None).places == with_it.places
    assert scanned(path, None).total == with_it.total


def test_a_match_over_the_edge_of_two_blocks_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (BLOCK - 4) + b"panic: " + b"y" * 100)
    assert scanned(path, None).places == {0: [BLOCK + 3]}


def test_places_are_bounded_and_keep_first_and_last(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"panic: x" + b"." * (BLOCK - 8))
    places = scanned(path, None).places[0]
    assert len(places) <= 2 * KEPT
    assert places[0] == 7
    assert places[-1] == 99 * BLOCK + 7


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    found = scanned(path, None)
    assert (found.total, found.places, found.before(0)) == (0, {}, (0, 0))


def test_compiled_once_then_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    assert not Compiled("k", lambda: EXPRESSIONS, folder).cached

    def never() -> list[tuple[str, bool]]:
        raise AssertionError("compiled again")

    assert Compiled("k", never, folder).cached
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_damaged_file_is_compiled_anew(tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    Compiled("k", lambda: EXPRESSIONS, folder)
    (kept,) = folder.glob("*.hs")
    kept.write_bytes(kept.read_bytes()[:-10] + b"0123456789")
    assert not Compiled("k", lambda: EXPRESSIONS, folder).cached
    assert Compiled("k", lambda: EXPRESSIONS, folder).cached


def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    Compiled("k", lambda: EXPRESSIONS, folder)
    folder.chmod(0o777)
    assert not Compiled("k", lambda: EXPRESSIONS, folder).cached


def test_another_processor_has_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "compiled"
    Compiled("k", lambda: EXPRESSIONS, folder)
    monkeypatch.setattr(compiled, "_processor", lambda: "another")
    assert not Compiled("k", lambda: EXPRESSIONS, folder).cached


def test_expressions_that_hyperscan_does_not_take_are_left_out(tmp_path: Path) -> None:
    made = Compiled("k2", lambda: [("good", False), (r"(a)\1", False)], tmp_path / "compiled")
    assert made.left_out == (1,)
    hits: list[int] = []
    made.scan(b"a good day", lambda number, *_: hits.append(number), made.scratch())
    assert hits == [0]


def test_a_reader_that_fails_is_heard(tmp_path: Path) -> None:
    def broken(_view: memoryview, _at: int) -> int:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        sweep(broken, 10, "test", lambda: EXPRESSIONS, None)
