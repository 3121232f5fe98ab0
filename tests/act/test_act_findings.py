"""The same log, other places: which finding the library comes to by looking, and what it proposes."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from act.places import toolbox
from devops_agent.distil import distil_source
from devops_agent.pipeline import failing
from devops_agent.planners import Look
from devops_agent.planners.runbook import RunbookPlanner
from devops_agent.run import MemoryJournal, Run
from devops_agent.runbooks.load import library
from devops_agent.scan import Signatures

LIBRARY = library()
SIGNATURES = Signatures(LIBRARY.signatures())


def concluded(box, log):
    """Finding, proposed tools and question for a log at a place."""
    run = Run(MemoryJournal())
    planner = RunbookPlanner(LIBRARY)
    look = Look(box, run, failing(box.health(), run))
    diagnosis = planner.diagnose(distil_source(log.encode(), SIGNATURES), (), look)
    proposal = planner.propose(diagnosis, run)
    return diagnosis.finding, [step.tool for step in proposal.steps], proposal.question


def traceback(line):
    return f'Traceback (most recent call last):\n  File "/srv/app/app.py", line 3, in <module>\n    main()\n{line}\n'


@pytest.mark.parametrize(
    ("template", "finding", "tools"),
    [
        ("SHOP_CURRENCY=CHF\n", "in_template", ["set_variable", "reload_units", "restart_service"]),
        ("# site zurich: CHF, site berlin: EUR\nSHOP_CURRENCY=\n", "in_a_comment", []),
        ("# site zurich: CHF, site berlin: EUR\nSHOP_CURRENCY=EUR\n", "in_a_comment", []),
        ("SHOP_CURRENCY=changeme\n", "hinted", []),
        ("PORT=1\n", "undocumented", []),
    ],
)
def test_a_missing_variable(tmp_path, template, finding, tools):
    (tmp_path / "app.env").write_text("SITE=zurich\n")
    (tmp_path / "env.example").write_text(template)
    entry = {"config": ["app.env"], "templates": ["env.example"], "health": {"command": ["false"]}}
    box = toolbox(tmp_path, services={"app": entry})
    seen = concluded(box, traceback("KeyError: 'SHOP_CURRENCY'"))
    assert seen[:2] == (finding, tools)
    assert ("CHF" in (seen[2] or "")) is (finding == "in_a_comment")


@pytest.mark.parametrize(
    ("stop", "finding", "tools"),
    [(True, "holder_stands_still", ["end_process"]), (False, "holder_works", ["wait_until"])],
)
def test_a_held_lock(tmp_path, stop, finding, tools):
    file = tmp_path / "lock-frontend"
    file.write_text("")
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True)"
    argv = [sys.executable, "-c", f"{hold}; time.sleep(60)", str(file)]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=tmp_path)
    try:
        holder.stdout.readline()
        if stop:
            os.kill(holder.pid, signal.SIGSTOP)
            time.sleep(0.2)
        box = toolbox(tmp_path, locks={"dpkg": {"file": "lock-frontend"}}, checks={"apt": {"command": ["false"]}})
        if stop and not box.probe("file_lock", {})["ours"]:
            pytest.skip("here the holder counts as supervised")
        log = f"E: Could not get lock {file}. It is held by process {holder.pid} (python3)\n"
        assert concluded(box, log)[:2] == (finding, tools)
        with open(file, "a") as other, pytest.raises(OSError, match="unavailable"):
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


@pytest.mark.parametrize(
    ("made", "finding", "tools"),
    [
        ([], "folder_missing", ["make_directory"]),
        (["log/sites"], "misspelt", []),
        (["log/site"], None, []),
    ],
)
def test_a_missing_log_folder(tmp_path, made, finding, tools):
    for each in ["log", *made]:
        (tmp_path / each).mkdir(exist_ok=True)
    path = tmp_path / "log/site/access.log"
    (tmp_path / "site.conf").write_text(f"access_log {path};\n")
    box = toolbox(tmp_path, services={"web": {"config": ["site.conf"], "health": {"command": ["false"]}}})
    log = f'nginx: [emerg] open() "{path}" failed (2: No such file or directory)\n'
    assert concluded(box, log)[:2] == (finding, tools)
