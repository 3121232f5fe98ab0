"""Volumes, folders, programs, variables, limits, locks of files: twins of one log are told apart, one is repaired."""

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from act.places import do, toolbox, undo
from act.test_act_programs import app, program
from devops_agent.errors import NotAllowed, ToolError


@pytest.fixture
def mounted(tmp_path):
    """Mount a small filesystem in memory below the folder; unmounted afterwards."""
    tops: list[Path] = []

    def mount(name="data", options="size=4m"):
        top = tmp_path / name
        top.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(top)]
        if os.geteuid() or subprocess.run(argv, capture_output=True, check=False).returncode:
            pytest.skip("filesystems cannot be mounted here")
        tops.append(top)
        return top

    yield mount
    for top in tops:
        subprocess.run(["umount", "-l", str(top)], check=False)


@pytest.fixture
def spawned():
    """Start processes that are ended afterwards, by pid."""
    started: list[subprocess.Popen] = []

    def spawn(*argv, **more):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **more)
        started.append(process)
        return process

    yield spawn
    for process in started:
        process.kill()
        process.wait()


def fill(path: Path, megabytes: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * int(megabytes * (1 << 20)))
    return path


# ---- which filesystem, and what may go


def test_the_full_volume_is_found_without_a_path_and_cleaned_by_its_rules_alone(tmp_path, mounted):
    top = mounted()
    old, data = fill(top / "logs/app.log.1", 3.3), fill(top / "orders.log", 0.6)
    volume = {"path": "data", "cleanup": [{"glob": "logs/*.[0-9]*"}]}
    box = toolbox(tmp_path, volumes={"data": volume}, protected=["data/orders.log"])
    seen = box.probe("volume_of", {})
    assert (seen["volume"], seen["how"], seen["enough"]) == ("data", "only", True)
    assert do(box, "clean_volume", volume="data").status == "succeeded"
    assert not old.exists()
    assert data.stat().st_size > 600_000
    assert box.probe("volume_of", {})["percent"] < 95


def test_what_may_go_is_not_enough_where_data_fills_the_volume(tmp_path, mounted):
    top = mounted()
    fill(top / "logs/app.log.1", 0.1)
    fill(top / "orders.log", 3.85)
    volume = {"path": "data", "cleanup": [{"glob": "logs/*.[0-9]*"}], "grow": ["bin/grow", "{megabytes}"]}
    seen = toolbox(tmp_path, volumes={"data": volume}).probe("volume_of", {"path": str(top / "orders.log")})
    assert (seen["enough"], seen["grow"], seen["how"]) == (False, True, "path")
    assert seen["grow_to"] > 4


def test_a_path_on_a_healthy_filesystem_does_not_hide_the_full_volume(tmp_path, mounted):
    fill(mounted() / "a", 3.99)
    box = toolbox(tmp_path, volumes={"data": {"path": "data"}})
    assert box.probe("volume_of", {"path": "/etc/hostname"})["volume"] == "data"


def test_space_that_a_deleted_file_holds_is_seen_with_its_holder(tmp_path, mounted, spawned):
    top = mounted()
    held = fill(top / "debug.log", 3.9)
    process = spawned(
        sys.executable, "-c", f"f = open({str(held)!r}); print(1, flush=True); import time; time.sleep(60)"
    )
    process.stdout.readline()
    held.unlink()
    seen = toolbox(tmp_path, volumes={"data": {"path": "data"}}).probe("deleted_open", {"path": str(top)})
    assert (seen["pid"], seen["enough"], seen["own"]) == (process.pid, True, False)
    assert seen["bytes"] > 3 << 20


def test_a_read_only_volume_is_made_writable_and_back(tmp_path, mounted):
    top = mounted()
    subprocess.run(["mount", "-o", "remount,ro", str(top)], check=True)
    box = toolbox(tmp_path, volumes={"data": {"path": "data"}})
    seen = box.probe("volume_of", {"path": str(top / "x"), "short_of": "write"})
    assert (seen["read_only"], seen["mounted"], seen["damaged"], seen["declared"]) == (True, True, False, False)
    back = undo(box, "remount_writable", lambda: (top / "x").write_text("1"), volume="data")
    assert back.status == "succeeded"
    assert box.probe("disk_usage", {"path": str(top)})["read_only"] is True


@pytest.mark.parametrize(("documented", "refused"), [("{top}/x", False), ("/srv/other", True), ("", False)])
def test_a_volume_that_is_written_to_by_mistake_stays_read_only(tmp_path, mounted, documented, refused):
    top = mounted("archive")
    subprocess.run(["mount", "-o", "remount,ro", str(top)], check=True)
    (tmp_path / "app.env").write_text(f"STORE={top}/orders\n")
    (tmp_path / "app.example").write_text(f"STORE={documented.format(top=top)}\n")
    entry = {"config": ["app.env"], "templates": ["app.example"]}
    box = toolbox(tmp_path, volumes={"archive": {"path": "archive"}}, services={"app": entry})
    seen = box.probe("volume_of", {"path": str(top / "orders"), "short_of": "write"})
    assert (seen["meant_elsewhere"] == "/srv/other") is refused
    if refused:
        with pytest.raises(NotAllowed, match="by its template"):
            do(box, "remount_writable", volume="archive")
    else:
        assert do(box, "remount_writable", volume="archive").status == "succeeded"


@pytest.mark.parametrize("state", [1, 3], ids=["clean", "with errors"])
def test_a_volume_with_errors_in_its_superblock_is_not_made_writable(tmp_path, state):
    top, image = tmp_path / "data", tmp_path / "image"
    top.mkdir()
    image.write_bytes(b"\0" * (8 << 20))
    if os.geteuid() or not shutil.which("mkfs.ext4") or not shutil.which("debugfs"):
        pytest.skip("filesystems cannot be made here")
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["debugfs", "-w", "-R", f"ssv state {state}", str(image)], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(top)], check=False).returncode:
        pytest.skip("filesystems cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(top)], check=True)
        box = toolbox(tmp_path, volumes={"data": {"path": "data"}})
        assert box.probe("volume_of", {"path": str(top / "x"), "short_of": "write"})["damaged"] is (state == 3)
        if state == 3:
            with pytest.raises(NotAllowed, match="found errors"):
                do(box, "remount_writable", volume="data")
        assert box.probe("disk_usage", {"path": str(top)})["read_only"] is True
    finally:
        subprocess.run(["umount", "-l", str(top)], check=False)


def test_a_protected_volume_and_a_folder_that_is_none_stay_as_they_are(tmp_path, mounted):
    top = mounted("archive")
    (tmp_path / "plain").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(top)], check=True)
    volumes = {"archive": {"path": "archive"}, "plain": {"path": "plain"}}
    box = toolbox(tmp_path, volumes=volumes, protected=["archive"])
    with pytest.raises(NotAllowed, match="protected"):
        do(box, "remount_writable", volume="archive")
    with pytest.raises(NotAllowed, match="not in the inventory"):
        do(box, "remount_writable", volume="other")
    assert box.probe("disk_usage", {"path": str(top)})["read_only"] is True


# ---- folders


def site(tmp_path, path, **more):
    (tmp_path / "site.conf").write_text(f"access_log {path};\n")
    return toolbox(tmp_path, services={"web": {"config": ["site.conf"]}}, **more)


def test_a_missing_folder_is_made_like_its_neighbours_and_taken_back_only_while_empty(tmp_path):
    for name in ("alpha", "beta"):
        (tmp_path / "log" / name).mkdir(parents=True)
        (tmp_path / "log" / name).chmod(0o750)
    path = tmp_path / "log/site/access.log"
    box = site(tmp_path, path)
    seen = box.probe("missing_path", {"path": str(path), "service": "web"})
    assert (seen["written"], seen["named"], seen["alike"], seen["mode"]) == (True, True, 0, "0750")
    back = undo(box, "make_directory", lambda: path.write_text("kept"), path=str(path.parent))
    assert back.status == "succeeded"
    assert path.read_text() == "kept"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_a_folder_is_never_made_open_to_all(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log").chmod(0o777)
    assert do(site(tmp_path, "log/site/a.log"), "make_directory", path="log/site").status == "succeeded"
    assert not (tmp_path / "log/site").stat().st_mode & stat.S_IWOTH


def test_a_folder_of_nearly_the_same_name_is_asked_about(tmp_path):
    (tmp_path / "log/sites").mkdir(parents=True)
    seen = site(tmp_path, "log/site/a.log").probe("missing_path", {"path": "log/site/a.log", "service": "web"})
    assert seen["similar"] == [str(tmp_path / "log/sites")]


def test_no_folder_is_made_below_a_volume_that_is_not_mounted_nor_in_place_of_a_dead_link(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "gone")
    box = site(tmp_path, "data/log/a.log", volumes={"data": {"path": "data"}})
    seen = box.probe("missing_path", {"path": "data/log/a.log", "service": "web"})
    assert seen["unmounted"] == "data"
    assert box.probe("missing_path", {"path": "log/x/a.log"})["dangling"] == str(tmp_path / "log")
    for path, why in (("data/log", "not mounted"), ("log/x", "leads nowhere"), ("/srv/else/log", "neither in")):
        with pytest.raises(NotAllowed, match=why):
            do(box, "make_directory", path=path)
    assert not (tmp_path / "data/log").exists()


def test_a_file_that_programs_only_read_is_not_taken_for_one_that_they_write(tmp_path):
    box = site(tmp_path, "conf/extra.conf")
    assert box.probe("missing_path", {"path": "conf/extra.conf", "service": "web"})["written"] is False


# ---- open files


@pytest.mark.parametrize(
    ("config", "template", "below", "hinted", "documented"),
    [
        ("NOFILE=48\n", "NOFILE=1024\n", True, None, False),
        ("NOFILE=1024\n", "NOFILE=1024\n", False, None, True),
        ("NOFILE=48\n", "# open files: 2048 for every service\nNOFILE=\n", False, 2048, False),
        ("NOFILE=48\n", "# open files: 2048, or 4096 where busy\n", False, None, False),
        ("maxclients=48\n", "NOFILE=1024\n", False, None, False),
    ],
    ids=["below", "a leak then", "in a comment", "not clear", "another setting"],
)
def test_a_low_limit_a_leak_and_a_comment_are_told_apart(tmp_path, config, template, below, hinted, documented):
    seen = app(tmp_path, config, template).probe("open_files_limit", {"service": "app"})
    assert (seen["below"], seen["hinted"], seen["documented"]) == (below, hinted, documented)


# ---- locks of files

HOLD = """
import fcntl, sys, time
f = open(sys.argv[1], "a"); fcntl.lockf(f, fcntl.LOCK_EX); print("holding", flush=True); time.sleep(float(sys.argv[2]))
"""


def test_a_stopped_holder_is_ended_a_working_one_waited_for(tmp_path, spawned):
    file = tmp_path / "lock-frontend"
    file.write_text("")
    box = toolbox(tmp_path, locks={"dpkg": {"file": "lock-frontend", "wait": 20}})
    assert box.probe("file_lock", {})["state"] == "free"
    holder = spawned(sys.executable, "-c", HOLD, str(file), "60", cwd=tmp_path)
    holder.stdout.readline()
    seen = box.probe("file_lock", {"path": str(file)})
    assert (seen["state"], seen["pid"], seen["lock"]) == ("working", holder.pid, "dpkg")
    os.kill(holder.pid, signal.SIGSTOP)
    time.sleep(0.2)
    assert box.probe("file_lock", {})["state"] == "stopped"
    with open(file, "a") as other, pytest.raises(OSError, match="unavailable"):
        fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    inode = file.stat().st_ino
    try:
        outcome = do(box, "end_process", pid=holder.pid)
    except NotAllowed as refused:
        pytest.skip(f"here the holder counts as supervised: {refused}")
    assert outcome.status == "succeeded"
    assert holder.wait(5) == -signal.SIGTERM  # gently, though it was stopped
    assert (box.probe("file_lock", {})["state"], file.stat().st_ino) == ("free", inode)


# ---- whose a process is that a start script executes


def test_what_a_start_script_executes_is_the_service_itself(tmp_path, port_of_mine, spawned):
    (tmp_path / "app").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "app/server.py").write_text(
        "import socket, sys, time\ns = socket.socket(); s.setsockopt(1, 2, 1)\n"
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print('up', flush=True); time.sleep(60)\n"
    )
    script = tmp_path / "bin/run"
    script.write_text(
        f"#!/bin/sh\ncd {tmp_path}\nexport A=1\nexec {sys.executable} app/server.py ${{PORT:-{port_of_mine}}}\n"
    )
    script.chmod(0o755)
    entry = {"supervisor": "command", "run": ["bin/run"], "ports": [port_of_mine]}
    box = toolbox(tmp_path, services={"shop": entry})
    process = spawned(str(script))
    process.stdout.readline()
    seen = box.probe("port_owner", {"service": "shop"})
    assert (seen["pid"], seen["ours"], seen["is_inventory"]) == (process.pid, False, True)
    with pytest.raises(ToolError):
        do(box, "free_port", port=port_of_mine)
    assert process.poll() is None


@pytest.fixture
def port_of_mine():
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_setting_that_names_another_services_port_is_found(tmp_path, port_of_mine):
    (tmp_path / "app.env").write_text("PORT=8801\nNAME=8801x\n")
    services = {"shop": {"config": ["app.env"], "ports": [port_of_mine]}, "billing": {"ports": [8801]}}
    seen = toolbox(tmp_path, services=services).probe("port_setting", {"service": "shop", "port": 8801})
    assert (seen["elsewhere"], seen["key"], seen["proper"]) == (True, "PORT", str(port_of_mine))


# ---- owner and mode


def served(tmp_path, user="nobody"):
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    return toolbox(
        tmp_path, services={"app": {"user": user, "config": ["conf/app.conf"]}}, protected=["conf/kept.conf"]
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to look at other users' rights")
def test_a_file_unlike_its_neighbours_is_made_like_them_and_back(tmp_path):
    (tmp_path / "conf").mkdir(mode=0o755)
    for name, mode in (("app.conf", 0o600), ("b.conf", 0o644), ("c.conf", 0o644), ("kept.conf", 0o600)):
        (tmp_path / "conf" / name).write_text("x")
        (tmp_path / "conf" / name).chmod(mode)
    box = served(tmp_path)
    path = str(tmp_path / "conf/app.conf")
    seen = box.probe("access", {"path": path, "service": "app"})
    assert (seen["lacking"], seen["like"], seen["blocked"]) == (True, "root:root 0644", None)
    back = undo(box, "give_access", lambda: None, path=path, service="app")
    assert back.status == "succeeded"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    with pytest.raises(NotAllowed, match="protected"):
        do(box, "give_access", path=str(tmp_path / "conf/kept.conf"), service="app")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to look at other users' rights")
def test_a_secret_is_opened_to_nobody_and_a_folder_above_is_named(tmp_path):
    (tmp_path / "conf").mkdir(mode=0o755)
    for name, mode in (("server.key", 0o600), ("a.key", 0o644), ("b.key", 0o644)):
        (tmp_path / "conf" / name).write_text("x")
        (tmp_path / "conf" / name).chmod(mode)
    box = served(tmp_path)
    args = {"path": str(tmp_path / "conf/server.key"), "service": "app"}
    assert box.probe("access", args)["like"] is None
    with pytest.raises(NotAllowed, match="do not say"):
        do(box, "give_access", **args)
    (tmp_path / "conf").chmod(0o700)
    assert box.probe("access", args)["blocked"] == str(tmp_path / "conf")


def test_only_a_program_of_the_workspace_is_made_executable(tmp_path):
    box = toolbox(tmp_path, services={"app": {}})
    here = program(tmp_path / "bin/run")
    here.chmod(0o640)
    back = undo(box, "make_executable", lambda: None, path=str(here))
    assert (back.status, here.stat().st_mode & 0o777) == ("succeeded", 0o640)
    assert do(box, "make_executable", path=str(here)).status == "succeeded"
    assert here.stat().st_mode & 0o777 == 0o750
    (tmp_path / "data.txt").write_text("rows")
    for path, why in ((str(tmp_path / "data.txt"), "no program"), ("/etc/passwd", "workspace")):
        with pytest.raises(NotAllowed, match=why):
            do(box, "make_executable", path=path)


# ---- new lines of services that log to no file


def test_new_lines_of_a_unit_are_asked_of_its_journal_behind_control(tmp_path):
    from devops_agent.tools import fresh

    script = tmp_path / "inside"
    script.write_text('#!/bin/sh\n[ "$1" = date ] && exec "$@"\necho "asked: $*"\n')
    script.chmod(0o755)
    box = toolbox(
        tmp_path, services={"shop": {"supervisor": "systemd", "unit": "shop.service", "control": [str(script)]}}
    )
    marks = fresh.marks(box)
    assert abs(marks.sizes["shop:systemd"] - time.time()) < 5
    said = fresh.since(box, marks).decode()
    assert said.startswith("asked: journalctl")
    assert f"--since=@{marks.sizes['shop:systemd']}" in said
