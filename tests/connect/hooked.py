"""A service with one hook of every kind, and deliveries to it as their senders make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select
from web_service import Service, serving

from devops_agent.connect import signatures
from devops_agent.jobs.tables import inbox

SECRET = "a-secret-of-this-hook"
MAP = {
    "title": "/alert/title",
    "log": "/alert/log",
    "key": "/alert/id",
    "status": "/alert/state",
    "at": "/alert/when",
    "labels": {"team": "/alert/team"},
}


def hooks(**more: Any) -> dict[str, Any]:
    """One hook of each kind, none of which fetches."""
    kinds = ("alertmanager", "grafana", "github", "gitlab", "pagerduty", "sentry")
    made: dict[str, Any] = {kind: {"kind": kind, "secret": SECRET} for kind in kinds}
    made["jenkins"] = {"kind": "jenkins", "secret": SECRET, "api": "http://127.0.0.1:9"}
    made["generic"] = {"kind": "generic", "secret": SECRET, "map": MAP}
    return {**made, **more}


@contextmanager
def hooked(folder: Path, given: dict[str, Any] | None = None, **settings: Any) -> Iterator[Service]:
    with serving(folder, hooks=hooks() if given is None else given, **settings) as service:
        yield service


def hex_of(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def standard(raw: bytes, identity: str = "msg_1", at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = int(time.time() if at is None else at)
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signatures.sign(secret, identity, stamp, raw),
    }


def proof(kind: str, raw: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers by which a sender of this kind proves itself."""
    basic = base64.b64encode(f"agent:{secret}".encode()).decode()
    return {
        "alertmanager": {"Authorization": f"Bearer {secret}"},
        "grafana": {"X-Grafana-Alerting-Signature": hex_of(raw, secret)},
        "github": {"X-Hub-Signature-256": f"sha256={hex_of(raw, secret)}"},
        "gitlab": {"X-Gitlab-Token": secret},
        "jenkins": {"Authorization": f"Basic {basic}"},
        "pagerduty": {"X-PagerDuty-Signature": f"v1={hex_of(raw, 'an older secret')},v1={hex_of(raw, secret)}"},
        "sentry": {"Sentry-Hook-Signature": hex_of(raw, secret)},
        "generic": {"Authorization": f"Bearer {secret}"},
    }[kind]


def deliver(service: Service, kind: str, body: Any, name: str | None = None, **headers: str) -> httpx.Response:
    """Post a body as its sender would."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **proof(kind, raw)}
    given |= {key.replace("_", "-"): value for key, value in headers.items()}
    return service.http.post(f"/hooks/{name or kind}", content=raw, headers=given)


def worked_off(service: Service, seconds: float = 20) -> None:
    """Wait until the inbox is empty and every job has an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with service.backend.jobs.engine.connect() as connection:
            left = connection.execute(select(func.count()).select_from(inbox)).scalar()
        if not left and all(row.answered for row in service.backend.jobs.list(limit=500)):
            return
        time.sleep(0.03)
    raise AssertionError("signals are left in the inbox, or jobs without an answer")


def until(true: Any, seconds: float = 12) -> Any:
    """Wait until this is true, and what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.03)
    raise AssertionError("it did not come true in time")


def rows(service: Service) -> list[Any]:
    """All jobs, oldest first."""
    return list(reversed(service.backend.jobs.list(limit=500)))
