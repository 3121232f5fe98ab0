"""Links by which one named person decides about one plan: single use, signed, expiring, stored as hashes only.

A link is made when its message is sent and is worth nothing for another plan, person or time. Whoever only opens it
(a mail scanner, a preview) changes nothing: deciding takes the button on its page. All links of one person for one plan
are used up together.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, insert, select, update

from devops_agent.errors import AgentError, ApprovalMismatch
from devops_agent.jobs.decisions import Decision, decide
from devops_agent.jobs.tables import jobs as job_rows
from devops_agent.jobs.tables import links, reading
from devops_agent.model import Approval, now

if TYPE_CHECKING:
    from devops_agent.jobs.store import Jobs

_SIGNED = 24
"""Characters of a token's own signature: what carries a wrong one is refused without a look into the database."""


class LinkRefused(AgentError):
    """The link is not ours, was used, has expired, or its plan does not wait any more."""

    code = "link_refused"
    status = 410


@dataclass(frozen=True)
class Link:
    """What a link is for."""

    job: str
    fingerprint: str
    person: str
    expires: datetime


def signing_key(data_dir: Path, configured: str | None) -> bytes:
    """What links are signed with: what is configured, or a key made once in the data directory."""
    if configured:
        return hashlib.sha256(b"devops-agent link " + configured.encode()).digest()
    file = data_dir / "links.key"
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        made = file.with_name(f".links.key.{os.getpid()}.{secrets.token_hex(4)}")
        made.touch(mode=0o600)
        made.write_bytes(secrets.token_bytes(32))
        try:
            os.link(made, file)  # whole from the start, and made once however many processes start together
        finally:
            made.unlink()
    return file.read_bytes()


def mint(jobs: Jobs, key: bytes, link: Link, target: str) -> str:
    """A new link's token; only its hash is kept."""
    secret = secrets.token_urlsafe(32)
    token = f"{secret}.{_signature(key, secret)}"
    row = {
        "hash": _hash(token),
        "job": link.job,
        "fingerprint": link.fingerprint,
        "person": link.person,
        "expires": link.expires.timestamp(),
    }
    with jobs.engine.begin() as connection:
        connection.execute(insert(links).values(**row, target=target, made=now().timestamp(), seal=_seal(key, row)))
    return token


def look(jobs: Jobs, key: bytes, token: str) -> Link:
    """What a link is for. Changes nothing. Raises LinkRefused."""
    with reading(jobs.engine) as connection:
        return _read(_found(connection, key, token, lock=False))


def use(jobs: Jobs, key: bytes, token: str, granted: bool, reason: str = "") -> Approval:
    """Decide, in the name of the link's person. Raises LinkRefused; the link is used up only where it decided."""
    with jobs.engine.begin() as connection:
        row = _found(connection, key, token, lock=True)
        job = connection.execute(select(job_rows).where(job_rows.c.id == row["job"])).mappings().first()
        if job is None:
            raise LinkRefused("this incident is not kept any more")
        said = f"by the link sent to {row['target']}" + (f": {reason}" if reason else "")
        try:
            made = decide(connection, job, row["fingerprint"], Decision(granted, row["person"], said))
        except ApprovalMismatch as error:
            raise LinkRefused(str(error)) from None
        same = (links.c.job == row["job"], links.c.fingerprint == row["fingerprint"], links.c.person == row["person"])
        values = {"used": now().timestamp(), "decision": "approved" if granted else "denied"}
        connection.execute(update(links).where(and_(*same, links.c.used.is_(None))).values(**values))
    jobs.tell()
    return made


def forget(jobs: Jobs, days: float) -> None:
    """Delete links that expired so long ago."""
    old = now().timestamp() - days * 86400
    with jobs.engine.begin() as connection:
        connection.execute(links.delete().where(links.c.expires < old))


def _found(connection: Connection, key: bytes, token: str, lock: bool) -> Any:
    secret, _, signature = token.partition(".")
    unknown = LinkRefused("this link is not one of ours, or is not whole")
    if len(token) > 200 or not hmac.compare_digest(
        signature.encode("utf-8", "replace"), _signature(key, secret).encode()
    ):
        raise unknown
    query = select(links).where(links.c.hash == _hash(token))
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise unknown
    if not hmac.compare_digest(row["seal"].encode(), _seal(key, dict(row)).encode()):
        raise unknown
    if row["used"] is not None:
        raise LinkRefused(f"this link was used: the plan was {row['decision']} by {row['person']}")
    if row["expires"] <= now().timestamp():
        raise LinkRefused("this link has expired")
    return row


def _read(row: Any) -> Link:
    return Link(row["job"], row["fingerprint"], row["person"], datetime.fromtimestamp(row["expires"], UTC))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _signature(key: bytes, secret: str) -> str:
    digest = hmac.new(key, b"token " + secret.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()[:_SIGNED]


def _seal(key: bytes, row: dict[str, Any]) -> str:
    """Binds a row's content together, so that nobody who can write to the database can turn a link into another."""
    content = "\n".join(str(row[name]) for name in ("hash", "job", "fingerprint", "person")) + f"\n{row['expires']:.3f}"
    return hmac.new(key, b"row " + content.encode(), hashlib.sha256).hexdigest()
