"""Names, held locks, documented memory, package environments: what is found, refused, changed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from act.places import do, toolbox, undo
from devops_agent.errors import NotAllowed, ToolError


@pytest.fixture
def names(tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.2 cache.internal\n")
    (tmp_path / "names.txt").write_text(
        "# ours\n10.0.0.1 db.internal\n10.0.0.2 cache.internal\n10.0.0.5 two\n10.0.0.6 two\n"
    )
    return toolbox(tmp_path, services={"dns": {"config": ["hosts"], "templates": ["names.txt"]}})


def test_a_name_of_the_teams_list_is_added(names, tmp_path):
    assert names.probe("host_entry", {"name": "db.internal"})["address"] == "10.0.0.1"
    assert do(names, "add_host_entry", service="dns", file="hosts", name="db.internal").status == "succeeded"
    assert (tmp_path / "hosts").read_text() == "10.0.0.2 cache.internal\n10.0.0.1 db.internal\n"
    assert names.probe("host_entry", {"name": "db.internal"})["known"] is True


@pytest.mark.parametrize("name", ["unheard.internal", "two"])
def test_a_name_without_exactly_one_address_is_not_added(names, name):
    with pytest.raises(NotAllowed, match="exactly one address"):
        do(names, "add_host_entry", service="dns", file="hosts", name=name)


@pytest.mark.parametrize("name", ["-x", "a b", "a;reboot", "a\n127.0.0.1 b"])
def test_what_is_no_name_is_refused(names, name):
    with pytest.raises(NotAllowed, match="not a host name"):
        names.probe("host_entry", {"name": name})


def locks(tmp_path, text, **more):
    (tmp_path / "lock.info").write_text(text)
    entry = {"file": "lock.info", "holder": "Pid", "release": ["rm", "lock.info"], "wait": 5, **more}
    return toolbox(tmp_path, locks={"state": entry})


def ended():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_a_lock_whose_holder_is_dead_is_released(tmp_path):
    box = locks(tmp_path, json.dumps({"ID": "9f1c", "Pid": ended(), "Who": "ci@builder"}))
    seen = box.probe("held_lock", {})
    assert (seen["state"], seen["name"], seen["releasable"]) == ("dead", "state", True)
    assert do(box, "release_lock", lock="state").status == "succeeded"
    assert box.probe("held_lock", {})["state"] == "free"


def test_a_lock_whose_holder_lives_is_not(tmp_path):
    box = locks(tmp_path, json.dumps({"ID": "9f1c", "Pid": os.getpid()}))
    assert box.probe("held_lock", {})["state"] == "alive"
    with pytest.raises(NotAllowed, match="not released"):
        do(box, "release_lock", lock="state")
    assert (tmp_path / "lock.info").exists()


def test_a_lock_of_another_machine_is_not(tmp_path):
    box = locks(tmp_path, json.dumps({"ID": "9f1c", "Pid": ended(), "Host": "web-7"}))
    assert box.probe("held_lock", {})["state"] == "unknown"
    with pytest.raises(NotAllowed, match="cannot be proven dead"):
        do(box, "release_lock", lock="state")


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("# memory: up to 64mb are set aside for this server", 64 << 20),
        ("# between 32mb and 64mb may use", None),
        ("# the dump had 64mb yesterday", None),
    ],
)
def test_documented_memory(tmp_path, comment, said):
    (tmp_path / "redis.conf").write_text(f"{comment}\nmaxmemory 6mb\n")
    stores = {"cache": {"kind": "redis", "url": "redis://127.0.0.1:6379", "config": "redis.conf"}}
    box = toolbox(tmp_path, datastores=stores)
    seen = box.probe("memory_documented", {"datastore": "cache"})
    assert (seen["bytes"], seen["hinted"]) == (None, said)
    assert box.probe("datastore_of", {"port": 6379})["name"] == "cache"
    with pytest.raises(ToolError, match="cannot tell"):
        box.probe("datastore_of", {"kind": "postgres"})


@pytest.mark.parametrize(
    ("stated", "template", "said"),
    [
        ("64mb", "", 64 << 20),
        (64 << 20, "maxmemory 32mb\n", 64 << 20),
        (None, "maxmemory 32mb\n# maxmemory 64mb\n", 32 << 20),
        (None, "maxmemory 33554432\n", 32 << 20),
        (None, "# maxmemory 64mb\n", None),
        (None, "maxmemory 32mb\nmaxmemory 64mb\n", None),
    ],
)
def test_stated_memory(tmp_path, stated, template, said):
    (tmp_path / "redis.conf").write_text("maxmemory 6mb\n")
    (tmp_path / "redis.example").write_text(template)
    more = {"memory": stated} if stated else {}
    stores = {"cache": {"kind": "redis", "config": "redis.conf", "service": "redis", **more}}
    box = toolbox(tmp_path, datastores=stores, services={"redis": {"templates": ["redis.example"]}})
    assert box.probe("memory_documented", {"datastore": "cache"})["bytes"] == said


def npm(tmp_path, manifest, locked):
    for package in ("a", "b"):
        (tmp_path / "libs" / package).mkdir(parents=True)
        (tmp_path / "libs" / package / "package.json").write_text(
            json.dumps({"name": f"l-{package}", "version": "1.0.0"})
        )
    base = {"name": "web", "version": "1.0.0"}
    (tmp_path / "package.json").write_text(json.dumps({**base, "dependencies": locked}))
    run = ["npm", "install", "--package-lock-only", "--offline", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "package.json").write_text(json.dumps({**base, "dependencies": manifest}))
    return toolbox(tmp_path, environments={"web": {"kind": "npm", "path": ".", "offline": True}})


A, B = {"l-a": "file:./libs/a"}, {"l-b": "file:./libs/b"}


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_a_lock_file_that_lacks_entries_is_brought_up_to_date_and_back(tmp_path):
    box = npm(tmp_path, {**A, **B}, A)
    lock = tmp_path / "package-lock.json"
    old = lock.read_bytes()
    assert box.probe("npm_lock", {"environment": "web"})["missing"] == ["l-b"]
    back = undo(box, "update_npm_lock", lambda: None, environment="web")
    assert back.status == "succeeded", back.output
    assert lock.read_bytes() == old
    assert do(box, "update_npm_lock", environment="web").status == "succeeded"
    assert box.probe("npm_lock", {"environment": "web"})["in_sync"] is True
    edited = undo(npm(tmp_path / "again", {**A, **B}, A), "update_npm_lock",
                  lambda: (tmp_path / "again/package-lock.json").write_text("{}"), environment="web")  # fmt: skip
    assert edited.status == "failed"


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_a_manifest_and_a_lock_that_contradict_each_other_are_for_a_person(tmp_path):
    box = npm(tmp_path, B, A)
    with pytest.raises(NotAllowed, match="a person must say"):
        do(box, "update_npm_lock", environment="web")


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_a_package_that_should_come_from_a_folder_that_is_not_there_is_for_a_person(tmp_path):
    box = npm(tmp_path, {**A, **B}, A)
    shutil.rmtree(tmp_path / "libs/b")
    assert box.probe("npm_lock", {"environment": "web"})["nowhere"] == ["l-b"]
    with pytest.raises(NotAllowed, match="what is not there"):
        do(box, "update_npm_lock", environment="web")


def wheel(folder, version):
    folder.mkdir(exist_ok=True)
    info = f"tinylib-{version}.dist-info"
    with zipfile.ZipFile(folder / f"tinylib-{version}-py3-none-any.whl", "w") as file:
        file.writestr("tinylib/__init__.py", f"VERSION = '{version}'\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tinylib\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture
def python(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    wheel(tmp_path / "wheels", "1.2.0")
    wheel(tmp_path / "wheels", "2.0.0")
    (tmp_path / "requirements.txt").write_text("tinylib==1.2.0\n")
    api = {"kind": "python", "path": "venv", "requirements": "requirements.txt", "index": {"find_links": "wheels"}}
    return toolbox(tmp_path, environments={"api": api})


def test_an_environment_gets_what_its_requirements_ask_for(python, tmp_path):
    seen = python.probe("python_requirements", {"environment": "api"})
    assert (seen["missing"], seen["fulfillable"]) == (["tinylib==1.2.0"], True)
    assert do(python, "install_requirements", environment="api").status == "succeeded"
    assert python.probe("python_module", {"module": "tinylib", "environment": "api"})["packages"] == {
        "tinylib": "1.2.0"
    }
    assert do(python, "install_requirements", environment="api").status == "already"
    (tmp_path / "requirements.txt").write_text("tinylib==3.0\n")
    with pytest.raises(NotAllowed, match="cannot fulfil"):
        do(python, "install_requirements", environment="api")


def test_names_that_differ_or_are_misspelt_are_told_apart(tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.2 cache.internal\n10.0.0.9 old.internal\n")
    (tmp_path / "names.txt").write_text("10.0.0.1 db-api.internal\n10.0.0.2 cache.internal\n10.0.0.3 old.internal\n")
    box = toolbox(tmp_path, services={"dns": {"config": ["hosts"], "templates": ["names.txt"]}})
    seen = box.probe("host_entry", {"name": "db-api.internal"})
    assert (seen["known"], seen["address"], seen["similar"]) == (False, "10.0.0.1", None)
    seen = box.probe("host_entry", {"name": "db-apl.internal"})
    assert (seen["known"], seen["address"], seen["similar"]) == (False, None, "db-api.internal")
    seen = box.probe("host_entry", {"name": "old.internal"})
    assert (seen["known"], seen["differs"]) == (True, True)
    assert box.probe("host_entry", {"name": "cache.internal"})["differs"] is False
    assert box.probe("host_entry", {"name": "elsewhere.example"})["similar"] is None
