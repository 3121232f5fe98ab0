"""Whether a delivery comes from who says so, over the bytes as they came; every comparison takes the same time.

Schemes: GitHub `X-Hub-Signature-256: sha256=<hex>`; PagerDuty `X-PagerDuty-Signature: v1=<hex>,v1=<hex>`; Sentry
`Sentry-Hook-Signature: <hex>`; Grafana `X-Grafana-Alerting-Signature: <hex>`, over `time:body` where a header with the
time is configured; GitLab and others the Standard Webhooks (`webhook-id`, `webhook-timestamp`,
`webhook-signature: v1,<base64>` over `id.timestamp.body`), or a token in `X-Gitlab-Token`. Alertmanager and Jenkins
sign nothing: they send a bearer token or Basic authentication, or, where they cannot, `?token=`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from devops_agent.connect.settings import Hook
from devops_agent.errors import AgentError
from devops_agent.model import now

TOLERANCE = 300.0
"""Seconds that a signed time may be away from ours."""


class Unproven(AgentError):
    """The delivery does not come from who holds the hook's secret, or is too old."""

    code = "unauthorized"
    status = 401


def prove_sender(hook: Hook, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
    """Check what stands outside the body, before the body is read. Raises Unproven.

    `headers` have lower-case names.
    """
    if hook.way == "bearer":
        _match(hook, _credential(hook, headers.get("authorization", "")), "authorization")
    elif hook.way == "token":
        _match(hook, headers.get("x-gitlab-token", ""), "x-gitlab-token")
    elif hook.way == "url":
        _match(hook, query.get("token", ""), "token")


def prove_body(hook: Hook, headers: Mapping[str, str], raw: bytes) -> str | None:
    """Check the signature over the body. Raises Unproven.

    Returns what the delivery is remembered by, so that it is not taken in twice; None where its sender repeats equal
    bodies on purpose (what becomes of those, their own times decide).
    """
    if hook.way == "signature":
        if hook.kind == "grafana":
            return _grafana(hook, headers, raw)
        if hook.kind in ("gitlab", "generic"):
            return _standard(hook, headers, raw)
        name, prefix = _HEX[hook.kind]
        _hex(hook, _entries(headers.get(name, ""), prefix), raw, name)
    return None if hook.kind in ("alertmanager", "grafana", "generic") else hashlib.sha256(raw).hexdigest()


_HEX = {
    "github": ("x-hub-signature-256", "sha256="),
    "pagerduty": ("x-pagerduty-signature", "v1="),
    "sentry": ("sentry-hook-signature", ""),
}


def sign(secret: str, identity: str, stamp: int, raw: bytes) -> str:
    """The `webhook-signature` of a message as the Standard Webhooks have it."""
    digest = hmac.new(_key(secret), f"{identity}.{stamp}.".encode() + raw, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _grafana(hook: Hook, headers: Mapping[str, str], raw: bytes) -> str | None:
    name = (hook.signature_header or "X-Grafana-Alerting-Signature").lower()
    signed, stamp = raw, ""
    if hook.timestamp_header:
        stamp = headers.get(hook.timestamp_header.lower(), "")
        _fresh(stamp, hook.timestamp_header.lower())
        signed = stamp.encode() + b":" + raw
    _hex(hook, _entries(headers.get(name, ""), ""), signed, name)
    return hashlib.sha256(signed).hexdigest() if stamp else None


def _standard(hook: Hook, headers: Mapping[str, str], raw: bytes) -> str:
    identity, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identity:
        raise Unproven("webhook-id: missing")
    _fresh(stamp, "webhook-timestamp")
    given = [each.encode() for each in headers.get("webhook-signature", "").split() if each.startswith("v1,")]
    wanted = [sign(secret, identity, int(stamp), raw).encode() for secret in hook.secrets]
    if not _any_equal(given, wanted):
        raise Unproven("webhook-signature: missing, or not made with this hook's secret")
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()


def _hex(hook: Hook, given: list[bytes], signed: bytes, name: str) -> None:
    wanted = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in hook.secrets]
    if not _any_equal(given, wanted):
        raise Unproven(f"{name}: missing, or not made with this hook's secret")


def _entries(header: str, prefix: str) -> list[bytes]:
    parts = [each.strip() for each in header.split(",")]
    return [each.removeprefix(prefix).encode("utf-8", "replace") for each in parts if each and each.startswith(prefix)]


def _any_equal(given: list[bytes], wanted: list[bytes]) -> bool:
    found = False
    for one in given[:10]:
        for other in wanted:
            found |= hmac.compare_digest(one, other)
    return found


def _fresh(stamp: str, name: str) -> None:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        raise Unproven(f"{name}: missing, or no number of seconds")
    if abs(int(stamp) - now().timestamp()) > TOLERANCE:
        raise Unproven(f"{name}: more than {TOLERANCE:.0f} s away from now")


def _match(hook: Hook, given: str, name: str) -> None:
    if not given or not _any_equal([given.encode("utf-8", "replace")], [each.encode() for each in hook.secrets]):
        raise Unproven(f"{name}: missing, or not this hook's secret")


def _credential(hook: Hook, header: str) -> str:
    """The secret of an Authorization header: the bearer token, or the password of Basic authentication."""
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password if colon and hook.username in (None, user) else ""


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
