"""Volumes: what is not deleted although a rule names it, what is not made writable although a service writes."""

import os
import subprocess

import pytest

from act.places import do, toolbox
from act.test_act_host import fill, mounted
from devops_agent.errors import NotAllowed

__all__ = ["mounted"]


def test_a_file_with_another_name_besides_is_left_since_nothing_would_become_free(tmp_path, mounted):
    top = mounted()
    kept = fill(top / "keep/history", 3.0)
    once, twice = fill(top / "logs/a.1", 0.2), fill(top / "logs/b.1", 0.2)
    os.link(kept, top / "logs/history.1")
    os.link(twice, top / "logs/b.2")
    volume = {"path": "data", "cleanup": [{"glob": "logs/*.[0-9]"}]}
    box = toolbox(tmp_path, volumes={"data": volume}, protected=["data/keep"])
    assert box.probe("cleanable", {"volume": "data"})["count"] == 3
    assert do(box, "clean_volume", volume="data").status == "succeeded"
    assert (once.exists(), twice.exists(), (top / "logs/history.1").exists()) == (False, False, True)


@pytest.mark.parametrize("options", ["loop,ro,nofail", "ro"])
def test_a_volume_that_the_teams_own_fstab_wants_read_only_stays_so(tmp_path, mounted, options):
    top = mounted()
    subprocess.run(["mount", "-o", "remount,ro", str(top)], check=True)
    (tmp_path / "fstab.prod").write_text(f"# {top} ext4 rw\n/dev/vdb {top}/ ext4 {options} 0 0\n")
    box = toolbox(tmp_path, volumes={"data": {"path": "data"}}, services={"app": {"templates": ["fstab.prod"]}})
    assert box.probe("volume_of", {"path": str(top / "x"), "short_of": "write"})["declared"] is True
    with pytest.raises(NotAllowed, match="fstab"):
        do(box, "remount_writable", volume="data")
    assert os.statvfs(top).f_flag & os.ST_RDONLY
