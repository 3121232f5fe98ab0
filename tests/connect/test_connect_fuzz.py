"""Whatever JSON a proven sender sends: it is understood, ignored, or refused with a field; never anything else."""

import copy
import json

import payloads
import pytest
from hooked import MAP, SECRET
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devops_agent.connect.settings import Hook
from devops_agent.connect.vendors import hear
from devops_agent.errors import RequestError

HEADERS = {"x-github-event": "workflow_run", "sentry-hook-resource": "event_alert", "sentry-hook-timestamp": "9" * 11}
SEEDS = {
    "alertmanager": [payloads.alertmanager()],
    "grafana": [payloads.grafana()],
    "github": [payloads.workflow_run(), payloads.check_run(), payloads.check_suite()],
    "gitlab": [payloads.pipeline(), payloads.build()],
    "jenkins": [payloads.jenkins()],
    "pagerduty": [payloads.pagerduty(), payloads.pagerduty("incident.resolved")],
    "sentry": [
        payloads.sentry_event(),
        payloads.sentry_issue(),
        payloads.sentry_metric(),
        payloads.sentry_event("error"),
    ],
    "generic": [{"alert": {"title": "t", "id": 1, "state": "open", "log": "x", "when": 3, "team": "a"}}],
}
EVENTS = ["workflow_run", "check_run", "check_suite"]
RESOURCES = ["event_alert", "issue", "metric_alert", "error"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("x" * 5000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def hook(kind):
    more = {"generic": {"map": MAP}, "jenkins": {"api": "https://jenkins.example"}}.get(kind, {})
    return Hook.model_validate({"kind": kind, "secret": SECRET, "name": kind, **more})


def places(value, path=()):
    """Paths of all values inside."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def changed(body, path, value):
    made = copy.deepcopy(body)
    if not path:
        return value
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_value_of_another_kind_anywhere_in_a_body(kind, data):
    body = data.draw(st.sampled_from(SEEDS[kind]))
    path = data.draw(st.sampled_from(list(places(body))))
    one = changed(body, path, data.draw(anything))
    for event, resource in zip([*EVENTS, "workflow_run"], RESOURCES, strict=True):
        given_headers = {**HEADERS, "x-github-event": event, "sentry-hook-resource": resource}
        try:
            heard = hear(hook(kind), given_headers, json.dumps(one).encode())
        except RequestError:
            continue
        for signal in heard.signals:
            assert signal.key
            assert len(signal.title) <= 400
            assert signal.at > 0
            signal.model_dump_json().encode()
        assert heard.signals or heard.ignored
