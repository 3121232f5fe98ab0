"""Archives of logs: their texts one after the other, named, within the same limits as any log."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from devops_agent.distil import distil_source
from devops_agent.distil.source import whole
from devops_agent.distil.stored import Stored
from devops_agent.errors import RequestError
from devops_agent.scan import Signatures

MOST = 1 << 20


def zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files: dict[str, bytes], how: str = "w:gz") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=how) as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return made.getvalue()


def text(archive: bytes, most: int = MOST) -> str:
    return whole(archive, most)


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_in_the_order_of_a_list(how: int) -> None:
    files = {"10_last.log": b"three", "2_next.log": b"two\n", "1_first.log": b"one\r\n", "empty.log": b""}
    told = text(zipped(files, how))
    assert told == "===== 1_first.log =====\none\r\n===== 2_next.log =====\ntwo\n===== 10_last.log =====\nthree\n"


def test_one_log_in_a_zip_has_its_own_line_numbers() -> None:
    assert text(zipped({"folder/": b"", "folder/build.log": b"one\ntwo\n"})) == "one\ntwo\n"


def test_of_githubs_archive_the_whole_jobs() -> None:
    files = {
        "build/1_Set up job.txt": b"set up\n",
        "build/2_Run make.txt": b"made\n",
        "build/system.txt": b"waiting\n",
        "0_build.txt": b"set up\nmade\n",
        "1_test.txt": b"tested\n",
        "other/log.txt": b"more\n",
    }
    told = text(zipped(files))
    assert [line for line in told.split("\n") if "=====" in line] == [
        "===== 0_build.txt =====",
        "===== 1_test.txt =====",
        "===== other/log.txt =====",
    ]
    assert told.count("made") == 1


@pytest.mark.parametrize("how", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar(how: str) -> None:
    files = {"b.log": b"two\n", "a.log": b"one", "._a.log": b"macOS's own\n"}
    assert text(tarred(files, how)) == "===== b.log =====\ntwo\n===== a.log =====\none\n"


def test_what_is_compressed_wide_or_binary_in_it() -> None:
    files = {
        "a.log.gz": gzip.compress(b"one\n"),
        "b.log": "zwei \u20ac, more of it so that it shows\n".encode("utf-16"),
        "c.png": b"\x89PNG\r\n\x1a\n\0\0",
        "d.gz": b"\x1f\x8bno gzip",
        "e.log": b"three\n",
    }
    for archive in (zipped(files), tarred(files)):
        told = text(archive)
        assert [line for line in told.split("\n") if not line.startswith("=====")] == [
            "one",
            "zwei \u20ac, more of it so that it shows",
            "three",
            "",
        ]


@pytest.mark.parametrize("packed", [zipped, tarred])
def test_from_a_file_from_a_stream_and_large(tmp_path: Path, packed) -> None:
    file = tmp_path / "logs"
    file.write_bytes(packed({"a.log": b"line\n" * 2_000_000, "b.log": b"the last\n"}))
    for source in (file, io.BytesIO(file.read_bytes())):
        with Stored(source) as log:
            assert log.given == file.stat().st_size
            assert log.read(log.size - 9, 9) == b"the last\n"


def test_names_are_told_and_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for archive in (
        zipped({"../../evil": b"one", "/etc/x\n=": b"two"}),
        tarred({"../../evil": b"one", "/etc/x\n=": b"two"}),
    ):
        told = text(archive)
        assert "===== ../../evil =====\none\n" in told
        assert "===== /etc/x = =====\ntwo\n" in told
    assert list(tmp_path.iterdir()) == []
    assert not (tmp_path.parent.parent / "evil").exists()


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (zipped({"a": b"line\n" * 1_000_000}), "more than 1 MiB"),
        (tarred({"a": b"line\n" * 1_000_000}), "more than 1 MiB"),
        (zipped({"a": b"\0" * 100}), "no text in this zip archive"),
        (zipped({}), "no text in this zip archive"),
        (b"PK\x03\x04" * 9, "no text in this zip archive"),
        (tarred({"a": b"\0" * 100}), "no text in this tar archive"),
    ],
    ids=["large zip", "large tar", "binary zip", "empty zip", "no zip at all", "binary tar"],
)
def test_what_is_refused(archive: bytes, reason: str) -> None:
    with pytest.raises(RequestError, match=f"^log: .*{reason}"):
        text(archive)


def test_a_list_that_is_too_long_is_not_read() -> None:
    archive = zipped({f"{number:0100}": b"x" for number in range(9000)}, zipfile.ZIP_STORED)
    with pytest.raises(RequestError, match="too many files"):
        text(archive, 1 << 30)


def test_an_encrypted_one_is_refused() -> None:
    archive = bytearray(zipped({"a.log": b"line\n"}))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(RequestError, match="encrypted"):
        text(bytes(archive))


def test_what_breaks_off_gives_what_there_is() -> None:
    whole_tar = tarred({"a.log": b"one\n", "b.log": b"two\n" * 10_000, "c.log": b"three\n"}, "w")
    told = text(whole_tar[:20_000])
    assert told.startswith("===== a.log =====\none\n===== b.log =====\ntwo\n")
    assert told.count("two") > 3_000
    assert "three" not in told
    broken = bytearray(zipped({"a.log": b"one\n", "b.log": b"two\n"}, zipfile.ZIP_STORED))
    broken[broken.index(b"two")] ^= 1  # its checksum is wrong now
    assert text(bytes(broken)).startswith("===== a.log =====\none\n")


def test_what_failed_in_one_of_several_jobs_is_found() -> None:
    failed = b"##[group]Run npm ci\nnpm error code ENOSPC\n##[error]Process completed with exit code 228.\n"
    archive = zipped({"0_build.txt": failed, "1_test.txt": b"12 passed\n"})
    found = distil_source(archive, Signatures([]))
    assert found.failing
    assert "npm error code ENOSPC" in [each.text for each in found.evidence]  # although nobody closes the group
