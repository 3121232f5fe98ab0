"""Policy: first rule that fits, strictest verdict, deny by default."""

import pytest

from devops_agent.errors import ConfigError
from devops_agent.inventory import Inventory, Place
from devops_agent.model import Action, Plan, Run
from devops_agent.policy import Known, Policy, load

STAGING = Place(Inventory(labels={"env": "staging"}))
PRODUCTION = Place(Inventory(labels={"env": "production"}))
RULES = """
- {deny:  {tool: [reboot_host], labels: {env: production}}}
- {ask:   {effect: destroy}}
- {allow: {tool: [rerun_test, restart_service], labels: {env: staging}}}
- {ask:   {tool: restart_service}}
"""


def plan(*actions):
    made = [
        Action(id=str(n), tool=tool, effect=effect, commands=(Run(argv=("true",)),))
        for n, (tool, effect) in enumerate(actions)
    ]
    return Plan(actions=tuple(made)).sealed()


@pytest.fixture
def policy(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(RULES)
    return load(file)


@pytest.mark.parametrize(
    ("actions", "place", "verdict"),
    [
        ([("restart_service", "change")], STAGING, "allow"),
        ([("restart_service", "change")], PRODUCTION, "ask"),
        ([("restart_service", "change"), ("free_port", "destroy")], STAGING, "ask"),
        ([("free_port", "destroy"), ("reboot_host", "change")], PRODUCTION, "deny"),
        ([("set_value", "change")], STAGING, "deny"),
        ([("restart_service_now", "change")], STAGING, "deny"),
        ([], PRODUCTION, "allow"),
        ([("disk_usage", "read")], PRODUCTION, "allow"),
    ],
)
def test_verdicts(policy, actions, place, verdict):
    assert policy.review(plan(*actions), place).verdict == verdict


def test_the_default_is_strict():
    assert Policy().review(plan(("anything", "change")), STAGING).verdict == "ask"
    assert Policy().review(plan(("anything", "destroy")), STAGING).verdict == "ask"
    assert Policy(rules=()).review(plan(("anything", "change")), STAGING).verdict == "deny"


def test_read_only_mode_stands_above_all_rules(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("- {allow: {}}\n")
    assert load(file).review(plan(("anything", "change")), STAGING).verdict == "allow"
    assert load(file, read_only=True).review(plan(("anything", "change")), STAGING).verdict == "deny"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ask: {}", "ask: no such field"),
        ("freeze: [{days: mon, zone: Mars}]", "freeze"),
        ("freeze: [{days: [montag]}]", "freeze.0.days.0"),
        ("3", "a policy is a list"),
        ("- {maybe: {}}", "rule 1"),
        ("- {ask: {efect: change}}", "rule 1: ask.efect"),
        ("- {ask: {effect: harm}}", "rule 1: ask.effect"),
        ("- {ask: {effect: change}", "not valid YAML"),
    ],
)
def test_errors_name_the_rule_and_the_field(tmp_path, text, named):
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load(file)


KNOWN = Known(
    tools=("restart_service", "free_port", "rerun_test"),
    causes=("port_in_use",),
    runbooks=("disk_full",),
    labels=("env",),
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "- {deny: {tool: [free_port, restart_servce]}}",
            r"rule 1: deny.tool: no tool 'restart_servce' \(perhaps restart_s",
        ),
        (
            "- {ask: {}}\n- {allow: {cause: port_in_us}}",
            r"rule 2: allow.cause: no cause 'port_in_us' \(perhaps port_in_use",
        ),
        ("shadow: [disk_fool]", r"shadow: no runbook 'disk_fool' \(perhaps disk_full"),
        ("- {deny: {effect: destruction}}", r"rule 1: deny.effect"),
        ("- {deny: {label: {env: production}}}", r"rule 1: deny.label: "),
    ],
)
def test_a_name_with_a_slip_in_it_is_no_rule_that_never_fits(tmp_path, text, said):
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"policy.yaml: {said}"):
        load(file, known=KNOWN)


def test_a_label_that_no_inventory_has_is_warned_of(tmp_path, caplog):
    file = tmp_path / "policy.yaml"
    file.write_text("- {deny: {labels: {evn: production}}}\n- {ask: {labels: {env: staging}}}\n")
    assert len(load(file, known=KNOWN).rules) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: rule 1: deny.labels: no inventory has the label 'evn': this rule never fits"
    ]
