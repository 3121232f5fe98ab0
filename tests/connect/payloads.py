"""Bodies of webhooks in the shape that their senders document, with values of our own."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import Any


def iso(seconds_ago: float = 0) -> str:
    return (
        datetime.fromtimestamp(time.time() - seconds_ago, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def alert(
    name: str = "DiskAlmostFull", status: str = "firing", began: float = 600, ended: float = 0, **labels: str
) -> dict:
    known = {"alertname": name, "instance": "db-3:9100", "severity": "critical", **labels}
    return {
        "status": status,
        "labels": known,
        "annotations": {
            "summary": f"{name} on {known['instance']}",
            "description": "write /var/lib/shop/queue: no space left on device",
        },
        "startsAt": iso(began),
        "endsAt": iso(ended) if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=node_filesystem_avail_bytes",
        "fingerprint": hashlib.sha256(repr(sorted(known.items())).encode()).hexdigest()[:16],
    }


def alertmanager(*alerts: dict, status: str = "firing", **more: Any) -> dict:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DiskAlmostFull"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "agent",
        "groupLabels": {"alertname": "DiskAlmostFull"},
        "commonLabels": {"severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": list(alerts) or [alert()],
        **more,
    }


def grafana(*alerts: dict, status: str = "firing") -> dict:
    rows = [
        {
            **each,
            "silenceURL": "https://grafana.example/alerting/silence/new",
            "dashboardURL": "https://grafana.example/d/abc",
            "panelURL": "",
            "values": {"A": 97.3},
            "valueString": "[ var='A' labels={instance=db-3} value=97.3 ]",
        }
        for each in (alerts or (alert(),))
    ]
    return {
        "receiver": "agent",
        "status": status,
        "orgId": 1,
        "alerts": rows,
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "https://grafana.example/",
        "version": "1",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "title": "[FIRING:1] DiskAlmostFull",
        "state": "alerting",
        "message": "**Firing**",
    }


def _repository() -> dict:
    return {
        "id": 71,
        "name": "shop",
        "full_name": "acme/shop",
        "private": True,
        "html_url": "https://github.example/acme/shop",
    }


def workflow_run(
    conclusion: str | None = "failure", action: str = "completed", run: int = 9001, suite: int = 5001, **more: Any
) -> dict:
    return {
        "action": action,
        "workflow_run": {
            "id": run,
            "name": "build",
            "node_id": "WFR_x",
            "head_branch": "main",
            "head_sha": "3f1c7a9e0b5d4c2a8e6f7b1d9c0a2e4f6b8d0c1e",
            "path": ".github/workflows/build.yml",
            "run_number": 412,
            "run_attempt": 1,
            "event": "push",
            "status": "completed",
            "conclusion": conclusion,
            "workflow_id": 33,
            "check_suite_id": suite,
            "html_url": f"https://github.example/acme/shop/actions/runs/{run}",
            "pull_requests": [{"id": 1, "number": 17, "head": {"ref": "fix", "sha": "3f1c"}, "base": {"ref": "main"}}],
            "created_at": iso(900),
            "updated_at": iso(300),
            **more,
        },
        "workflow": {"id": 33, "name": "build"},
        "repository": _repository(),
        "sender": {"login": "mona", "id": 5},
    }


def check_run(
    conclusion: str = "failure", slug: str = "github-actions", check: int = 7001, suite: int = 5001, **more: Any
) -> dict:
    return {
        "action": "completed",
        "check_run": {
            "id": check,
            "name": "unit tests",
            "head_sha": "3f1c7a9e0b5d4c2a8e6f7b1d9c0a2e4f6b8d0c1e",
            "status": "completed",
            "conclusion": conclusion,
            "started_at": iso(800),
            "completed_at": iso(400),
            "html_url": "https://github.example/acme/shop/runs/7001",
            "details_url": "https://ci.example/7001",
            "output": {
                "title": "2 tests failed",
                "summary": "`test_cart` failed",
                "text": None,
                "annotations_count": 1,
            },
            "check_suite": {"id": suite, "head_branch": "main"},
            "app": {"id": 1, "slug": slug, "name": "CI"},
            "pull_requests": [],
            **more,
        },
        "repository": _repository(),
        "sender": {"login": "mona", "id": 5},
    }


def check_suite(conclusion: str = "failure", suite: int = 5001, **more: Any) -> dict:
    return {
        "action": "completed",
        "check_suite": {
            "id": suite,
            "head_branch": "main",
            "head_sha": "3f1c7a9e0b5d4c2a8e6f7b1d9c0a2e4f6b8d0c1e",
            "status": "completed",
            "conclusion": conclusion,
            "app": {"id": 1, "slug": "github-actions", "name": "GitHub Actions"},
            "pull_requests": [],
            "created_at": iso(900),
            "updated_at": iso(200),
            **more,
        },
        "repository": _repository(),
        "sender": {"login": "mona", "id": 5},
    }


def pipeline(status: str = "failed", number: int = 3100, **more: Any) -> dict:
    finished = iso(120) if status in ("failed", "success", "canceled") else None
    return {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": number,
            "iid": 3,
            "ref": "main",
            "tag": False,
            "sha": "bcbb5ec396a2c0f828686f14fac9b80b780504f2",
            "source": "push",
            "status": status,
            "detailed_status": status,
            "stages": ["build", "test"],
            "created_at": "2026-01-31 15:23:28 UTC",
            "finished_at": finished,
            "duration": 63,
            "url": "https://gitlab.example/acme/shop/-/pipelines/3100",
        },
        "merge_request": {"id": 1, "iid": 8, "title": "Cart", "source_branch": "cart", "target_branch": "main"},
        "user": {"id": 1, "username": "root", "email": "[REDACTED]"},
        "project": {
            "id": 55,
            "name": "shop",
            "path_with_namespace": "acme/shop",
            "web_url": "https://gitlab.example/acme/shop",
        },
        "commit": {"id": "bcbb5ec396a2c0f828686f14fac9b80b780504f2", "message": "cart"},
        "builds": [
            {"id": 801, "stage": "build", "name": "compile", "status": "success", "allow_failure": False},
            {"id": 802, "stage": "test", "name": "lint", "status": "failed", "allow_failure": True},
            {
                "id": 803,
                "stage": "test",
                "name": "unit",
                "status": "failed",
                "allow_failure": False,
                "failure_reason": "script_failure",
            },
        ],
        **more,
    }


def build(status: str = "failed", **more: Any) -> dict:
    return {
        "object_kind": "build",
        "ref": "main",
        "tag": False,
        "sha": "bcbb5ec396a2c0f828686f14fac9b80b780504f2",
        "build_id": 803,
        "build_name": "unit",
        "build_stage": "test",
        "build_status": status,
        "build_created_at": "2026-01-31 15:23:28 UTC",
        "build_finished_at": iso(100),
        "build_allow_failure": False,
        "build_failure_reason": "script_failure",
        "pipeline_id": 3100,
        "project_id": 55,
        "project_name": "acme / shop",
        **more,
    }


def jenkins(status: str = "FAILURE", phase: str = "COMPLETED", number: int = 18, **more: Any) -> dict:
    return {
        "name": "shop",
        "display_name": "shop",
        "url": "job/shop/",
        "build": {
            "full_url": f"http://elsewhere.example:8080/job/shop/{number}/",
            "number": number,
            "queue_id": 3,
            "timestamp": int((time.time() - 1000 + number) * 1000),
            "duration": 4000,
            "phase": phase,
            "status": status,
            "url": f"job/shop/{number}/",
            "scm": {
                "url": "https://git.example/shop.git",
                "branch": "origin/main",
                "commit": "c6d86dc654b1",
                "changes": [],
                "culprits": [],
            },
            "log": "",
            "notes": "",
            "artifacts": {},
            **more,
        },
    }


def pagerduty(
    kind: str = "incident.triggered", event: str = "01ABC", incident: str = "Q1", ago: float = 60, **more: Any
) -> dict:
    return {
        "event": {
            "id": event,
            "event_type": kind,
            "resource_type": "incident",
            "occurred_at": iso(ago),
            "agent": {"id": "PLH1", "type": "user_reference", "summary": "An Engineer"},
            "client": None,
            "data": {
                "id": incident,
                "type": "incident",
                "self": f"https://api.pagerduty.example/incidents/{incident}",
                "html_url": f"https://acme.pagerduty.example/incidents/{incident}",
                "number": 2,
                "status": "triggered",
                "incident_key": "d3640fbd41094207a1c11e58e46b1662",
                "created_at": iso(ago),
                "title": "checkout answers 502",
                "service": {"id": "PF9", "summary": "Checkout", "type": "service_reference"},
                "priority": {"id": "P1", "summary": "P1", "type": "priority_reference"},
                "urgency": "high",
                "assignees": [],
                "resolve_reason": None,
                **more,
            },
        }
    }


def sentry_event(resource: str = "event_alert", issue: str = "1170820242") -> dict:
    event = {
        "event_id": "e4874d664c3540c1a32eab185f12c5ab",
        "title": "KeyError: 'total'",
        "culprit": "shop.cart in total",
        "platform": "python",
        "message": "",
        "datetime": iso(30),
        "issue_id": issue,
        "web_url": "https://sentry.example/organizations/acme/issues/1170820242/",
        "tags": [["environment", "production"], ["level", "error"]],
        "exception": {
            "values": [
                {
                    "type": "KeyError",
                    "value": "'total'",
                    "stacktrace": {
                        "frames": [
                            {
                                "filename": "shop/app.py",
                                "abs_path": "/srv/shop/app.py",
                                "function": "view",
                                "lineno": 40,
                                "context_line": "    return total(cart)",
                            },
                            {
                                "filename": "shop/cart.py",
                                "abs_path": "/srv/shop/cart.py",
                                "function": "total",
                                "lineno": 12,
                                "context_line": "    return cart['total']",
                            },
                        ]
                    },
                }
            ]
        },
    }
    if resource == "error":
        return {
            "action": "created",
            "actor": {"type": "application"},
            "data": {"error": event},
            "installation": {"uuid": "u"},
        }
    return {
        "action": "triggered",
        "actor": {"type": "application"},
        "data": {"event": event, "triggered_rule": "any error"},
        "installation": {"uuid": "u"},
    }


def sentry_issue(action: str = "created", issue: str = "1170820242") -> dict:
    return {
        "action": action,
        "actor": {"type": "application", "id": "sentry", "name": "Sentry"},
        "data": {
            "issue": {
                "id": issue,
                "shortId": "SHOP-1",
                "title": "KeyError: 'total'",
                "culprit": "shop.cart in total",
                "level": "error",
                "status": "unresolved",
                "metadata": {"type": "KeyError", "value": "'total'", "filename": "shop/cart.py", "function": "total"},
                "project": {"id": "1", "slug": "shop", "name": "shop"},
                "firstSeen": iso(3600),
                "lastSeen": iso(30),
            }
        },
        "installation": {"uuid": "u"},
    }


def sentry_metric(action: str = "critical") -> dict:
    return {
        "action": action,
        "actor": {"type": "application"},
        "data": {
            "description_text": "1000 events in the last 10 minutes",
            "description_title": "Critical: too many errors",
            "web_url": "https://sentry.example/organizations/acme/alerts/4/",
            "metric_alert": {
                "id": "4",
                "title": "too many errors",
                "date_created": iso(500),
                "date_started": iso(500),
                "date_detected": iso(500),
                "date_closed": iso(5) if action == "resolved" else None,
                "alert_rule": {"id": "7", "triggers": []},
            },
        },
        "installation": {"uuid": "u"},
    }
