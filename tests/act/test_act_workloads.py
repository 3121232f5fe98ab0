"""Kubernetes workloads behind the host's door, and the tree of real processes."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from act.places import toolbox
from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.tools.catalogue import workloads


class Cluster:
    """A host on which kubectl knows one deployment."""

    name, local = "fake", True

    def __init__(self, replicas=2, **limits):
        resources = {"limits": limits} if limits else {}
        containers = [{"name": "web", "resources": resources}]
        self.shown = {"spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}}}

    def attempt(self, *argv, **_):
        assert argv[0] == "kubectl"
        return SimpleNamespace(code=0, output=json.dumps(self.shown), errors="", text="")


GIVEN = {"workload": "deployment/web", "namespace": "shop"}


def test_limits_are_only_raised():
    host = Cluster(memory="512Mi", cpu="500m")
    tool = workloads.raise_limits
    values = {"host": host, **GIVEN, "container": "web", "memory_megabytes": 1024}
    pinned = tool.ask("pin", values)
    assert pinned == {"before": {"memory": "512Mi", "cpu": "500m"}}
    tool.ask("precondition", values | pinned)
    commands = list(tool.call(values | pinned))
    assert commands[0].argv[-3:] == ("deployment/web", "--containers=web", "--limits=memory=1024Mi")
    back = list(tool.ask("undo", values | pinned))
    assert back[0].argv[-1] == "--limits=cpu=500m,memory=512Mi"
    for megabytes in (256, 512):
        with pytest.raises(NotAllowed, match="only raised"):
            tool.ask("precondition", values | pinned | {"memory_megabytes": megabytes})
    with pytest.raises(StalePlan):
        tool.ask("precondition", values | pinned | {"host": Cluster(memory="1Gi")})


def test_no_limit_is_not_given_one_by_raising():
    values = {"host": Cluster(), **GIVEN, "container": "web", "memory_megabytes": 64, "before": {}}
    with pytest.raises(NotAllowed, match="now none"):
        workloads.raise_limits.ask("precondition", values)
    with pytest.raises(NotAllowed, match="has no 'api'"):
        workloads.raise_limits.ask("pin", {"host": Cluster(), **GIVEN, "container": "api"})


def test_what_was_switched_off_stays_off():
    with pytest.raises(NotAllowed, match="switched it off"):
        workloads.scale_workload.ask("pin", {"host": Cluster(replicas=0), **GIVEN})
    pinned = workloads.scale_workload.ask("pin", {"host": Cluster(replicas=2), **GIVEN})
    commands = list(workloads.scale_workload.call({**GIVEN, "replicas": 4, **pinned}))
    assert commands[0].argv[-2:] == ("--replicas=4", "--current-replicas=2")
    with pytest.raises(Exception, match="greater than or equal to 1"):
        workloads.scale_workload.check({**GIVEN, "replicas": 0})


def test_a_workload_is_read():
    seen = workloads.workload.call({"host": Cluster(memory="1.5Gi", cpu="2"), **GIVEN})
    assert (seen["wanted"], seen["limits"]) == (2, {"web": {"memory": 1610612736, "cpu": 2000}})


def test_the_tree_below_a_process(tmp_path):
    script = "sleep 30 & sleep 30 & echo up; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True) as shell:
        shell.stdout.readline()
        seen = toolbox(tmp_path).probe("process_tree", {"pid": shell.pid})
        assert (seen["count"], [row["depth"] for row in seen["processes"]]) == (3, [0, 1, 1])
        assert seen["memory_bytes"] > 0
        for row in reversed(seen["processes"]):
            subprocess.run(["kill", str(row["pid"])], check=False)
