"""Firewall rules, in a network namespace of their own: one that was left is deleted, others stay."""

import os
import shutil
import subprocess

import pytest

from act.handled import eventually
from act.places import do, toolbox
from devops_agent.errors import NotAllowed, StalePlan
from devops_agent.model import Step

STRAY = "-A INPUT -p tcp -m tcp --dport 8080 -j DROP"
OTHER = "-A INPUT -p tcp -m tcp --dport 9090 -j DROP"


def namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


@pytest.fixture
def box(tmp_path):
    if not shutil.which("iptables") or not shutil.which("nsenter"):
        pytest.skip("no iptables here")
    with subprocess.Popen(["unshare", "--net", "sleep", "60"], stderr=subprocess.DEVNULL) as keeper:
        if not eventually(lambda: namespace(keeper.pid) != namespace("self") and keeper.poll() is None, 3):
            keeper.kill()
            pytest.skip("no network namespaces may be made here")
        inside = ["nsenter", "-t", str(keeper.pid), "-n", "--"]
        for rule in (OTHER, STRAY):
            subprocess.run([*inside, "iptables", "-w", *rule.split()], check=True)
        yield toolbox(tmp_path, services={"shop": {"ports": [8080], "control": inside, "templates": ["rules.v4"]}})
        keeper.kill()


def rules(box):
    return box.probe("firewall_rules", {"service": "shop"})["rules"]


def test_the_rule_that_stops_a_service_is_deleted_and_comes_back_to_its_place(box):
    seen = box.probe("firewall_blocks", {"port": 8080})
    assert (seen["rule"], seen["service"], seen["meant"]) == (STRAY, "shop", False)
    action = box.preview(Step(tool="delete_firewall_rule", args={"service": "shop", "rule": STRAY}), 1)
    assert box.apply(action).status == "succeeded"
    assert rules(box) == [OTHER]
    assert box.apply(action).status == "already"
    assert box.revert(action).status == "succeeded"
    assert rules(box) == [OTHER, STRAY]


def test_a_rule_of_another_port_is_not_ours(box):
    with pytest.raises(NotAllowed, match="does not stop a port"):
        do(box, "delete_firewall_rule", service="shop", rule=OTHER)
    assert rules(box) == [OTHER, STRAY]


def test_a_rule_that_is_written_down_is_meant(box, tmp_path):
    (tmp_path / "rules.v4").write_text(f"*filter\n{STRAY}\nCOMMIT\n")
    assert box.probe("firewall_blocks", {"port": 8080})["meant"] is True
    with pytest.raises(NotAllowed, match="it is meant"):
        do(box, "delete_firewall_rule", service="shop", rule=STRAY)


def test_only_the_exact_text_of_a_rule_counts(box):
    for odd in ("-A INPUT", "-F", f"{STRAY} ", "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT"):
        with pytest.raises((NotAllowed, StalePlan)):
            do(box, "delete_firewall_rule", service="shop", rule=odd)
    assert rules(box) == [OTHER, STRAY]
