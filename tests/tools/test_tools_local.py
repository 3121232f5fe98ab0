"""The local host door: limits, caps, environment, process groups, files."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import pytest

from devops_agent.errors import CommandFailed, CommandTimedOut
from devops_agent.tools import children
from devops_agent.tools.local import LocalHost
from devops_agent.tools.spawn import CAP, Capped, environment

from .conftest import alive, eventually

PY = sys.executable


@pytest.fixture
def host(workspace: Path, tmp_path: Path) -> LocalHost:
    return LocalHost(str(workspace), tmp_path / "data")


def test_output_errors_and_status(host: LocalHost) -> None:
    ended = host.attempt(PY, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (ended.code, ended.output, ended.errors) == (3, "out\n", "err\n")
    with pytest.raises(CommandFailed, match="status 3"):
        host.run(PY, "-c", "raise SystemExit(3)")
    assert host.run(PY, "-c", "raise SystemExit(3)", ok=(0, 3)) == ""


def test_arguments_are_never_a_shell_line(host: LocalHost, workspace: Path) -> None:
    nasty = "$(touch owned); `touch owned` | touch owned & touch owned\n"
    assert host.run(PY, "-c", "import sys; print(sys.argv[1], end='')", nasty) == nasty
    assert not (workspace / "owned").exists()


def test_stdin_is_handed_over_and_otherwise_empty(host: LocalHost) -> None:
    big = "x" * 300_000
    assert host.attempt(PY, "-c", "import sys; print(len(sys.stdin.read()))", stdin=big).output == "300000\n"
    assert host.run(PY, "-c", "import sys; print(len(sys.stdin.read()))") == "0\n"


def test_a_command_that_does_not_read_its_input_does_no_harm(host: LocalHost) -> None:
    assert host.attempt(PY, "-c", "print('done')", stdin="x" * 1_000_000).output == "done\n"


def test_the_time_limit_ends_the_whole_group(host: LocalHost, workspace: Path) -> None:
    script = (
        "import os, subprocess, sys, time\n"
        "deaf = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)'\n"
        "c = subprocess.Popen([sys.executable, '-c', deaf])\n"
        "open('pids', 'w').write(f'{os.getpid()} {c.pid}'); time.sleep(60)\n"
    )
    begun = time.monotonic()
    with pytest.raises(CommandTimedOut):
        host.run(PY, "-c", script, timeout=1.0)
    assert time.monotonic() - begun < 6
    pids = [int(pid) for pid in (workspace / "pids").read_text().split()]
    assert len(pids) == 2
    assert eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_grandchild_that_holds_the_pipe_open_does_not_hold_us(host: LocalHost) -> None:
    script = "import subprocess, sys; p = subprocess.Popen(['sleep', '30']); print(p.pid, flush=True)"
    begun = time.monotonic()
    pid = int(host.run(PY, "-c", script, timeout=20))
    assert time.monotonic() - begun < 5
    assert alive(pid)  # it ended with success, so what it left running stays
    os.kill(pid, 9)


def test_head_and_tail_of_long_output_are_kept(host: LocalHost) -> None:
    ended = host.attempt(PY, "-c", "print('first'); print('x' * 2_000_000); print('last')")
    assert ended.output.startswith("first")
    assert ended.output.endswith("last\n")
    assert "bytes left out" in ended.output
    assert len(ended.output) < CAP + 100


@pytest.mark.parametrize("sizes", [[1], [7, 7, 7], [100], [3] * 40, [10, 1, 200, 5]])
def test_capped_keeps_ends_and_counts_what_is_lost(sizes: list[int]) -> None:
    capped, whole = Capped(20), b""
    for number, size in enumerate(sizes):
        piece = bytes([65 + number % 26]) * size
        whole += piece
        capped.add(piece)
    kept = capped.kept()
    if len(whole) <= 20:
        assert kept == whole
    else:
        head, _, rest = kept.partition(b"\n[... ")
        lost, _, tail = rest.partition(b" bytes left out ...]\n")
        assert (head, tail) == (whole[:10], whole[-10:])
        assert int(lost) == len(whole) - 20


def test_the_agents_keys_are_not_passed_on(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPEN_AI_API_KEY", "OPENAI_API_KEY", "DEVOPS_AGENT_ANYTHING", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-for-commands")
    assert "not-for-commands" not in host.run("env")
    assert "/usr/sbin" in environment()["PATH"].split(":")


def test_a_missing_program_and_a_missing_folder_are_told_apart(host: LocalHost) -> None:
    with pytest.raises(CommandFailed, match="not found: no-such-program") as program:
        host.run("no-such-program")
    assert program.value.status_code == 127
    with pytest.raises(CommandFailed, match=r"not found: .*/nowhere"):
        host.run("true", cwd="nowhere")


def test_relative_programs_start_at_the_workspace(host: LocalHost, workspace: Path) -> None:
    script = workspace / "bin" / "hello"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\npwd\n")
    script.chmod(0o755)
    assert host.run("bin/hello").strip() == str(workspace)


def test_running_commands_are_noted_and_those_of_a_dead_agent_ended(tmp_path: Path, workspace: Path) -> None:
    data = tmp_path / "data"
    agent = (
        f"from devops_agent.tools.local import LocalHost; from pathlib import Path\n"
        f"host = LocalHost({str(workspace)!r}, Path({str(data)!r}))\n"
        "host.run('sh', '-c', 'sleep 60 & echo $! > child; wait', timeout=50)\n"
    )
    pid = os.spawnv(os.P_NOWAIT, PY, [PY, "-c", agent])
    assert eventually(lambda: list((data / "children").glob("*.json")) and (workspace / "child").exists())
    assert children.end_left(data) == []  # the agent lives, so its commands are its own
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    grandchild = int(eventually(lambda: (workspace / "child").read_text().strip()))
    assert alive(grandchild)
    assert children.end_left(data) == ["sh"]
    assert eventually(lambda: not alive(grandchild))
    assert list((data / "children").glob("*.json")) == []


def test_a_record_of_a_pid_that_is_somebody_else_now_ends_nobody(tmp_path: Path) -> None:
    sleeper = os.spawnvp(os.P_NOWAIT, "setsid", ["setsid", "sleep", "30"])
    folder = tmp_path / "children"
    folder.mkdir()
    begun = children.started(sleeper) or 0
    record = f'{{"pid": {sleeper}, "started": {begun - 5}, "agent": {sleeper}, "agent_started": 1, "program": "x"}}'
    (folder / "1.json").write_text(record)
    assert children.end_left(tmp_path) == []
    assert alive(sleeper)
    os.kill(sleeper, 9)
    os.waitpid(sleeper, 0)


def test_files_are_written_atomically_and_keep_owner_and_mode(host: LocalHost, workspace: Path) -> None:
    file = workspace / "a.conf"
    file.write_text("old")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 33, 33)
    before = file.stat()
    host.write(str(file), b"new")
    after = file.stat()
    assert file.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert os.listdir(workspace) == ["a.conf"]


def test_writing_through_a_link_keeps_the_link(host: LocalHost, workspace: Path) -> None:
    (workspace / "real").write_text("old")
    (workspace / "link").symlink_to("real")
    host.write(str(workspace / "link"), b"new")
    assert (workspace / "link").is_symlink()
    assert (workspace / "real").read_text() == "new"


def test_reading_pipes_and_missing_files_fails_at_once(host: LocalHost, workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    with pytest.raises(CommandFailed, match="not a regular file"):
        host.read(str(workspace / "pipe"))
    with pytest.raises(CommandFailed, match="No such file"):
        host.read(str(workspace / "nothing"))


def test_the_tail_of_a_large_file(host: LocalHost, workspace: Path) -> None:
    file = workspace / "log"
    file.write_bytes(b"a" * 1_000_000 + b"end")
    assert host.read_tail(str(file), 5) == b"aaend"
    assert host.read(str(file), 3) == b"aaa"


def test_what_a_file_is(host: LocalHost, workspace: Path) -> None:
    (workspace / "f").write_text("12345")
    (workspace / "f").chmod(0o604)
    (workspace / "gone").symlink_to("nowhere")
    found = host.stat(str(workspace / "f"))
    assert found
    assert (found.kind, found.size, stat.S_IMODE(found.mode)) == ("file", 5, 0o604)
    assert host.stat(str(workspace / "no")) is None
    assert getattr(host.stat(str(workspace / "gone")), "kind", None) == "link"


def test_a_started_process_stays_and_a_failing_one_is_told(host: LocalHost) -> None:
    pid = host.start("sleep", "30")
    assert pid
    assert alive(pid)
    os.kill(pid, 9)
    with pytest.raises(CommandFailed, match="status 4: broken"):
        host.start("sh", "-c", "echo broken; exit 4")


def test_who_has_a_file_open(host: LocalHost, workspace: Path) -> None:
    file = workspace / "held"
    file.write_text("x")
    with file.open():
        assert host.holders(str(file))[str(file)] == (os.getpid(),)
    assert host.holders(str(file))[str(file)] == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_running_as_another_user(host: LocalHost) -> None:
    assert host.attempt("id", "-un", user="nobody", cwd="/").output == "nobody\n"
    with pytest.raises(CommandFailed, match="no user"):
        host.attempt("id", user="no-such-user-here")
