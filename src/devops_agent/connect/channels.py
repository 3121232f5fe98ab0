"""The ways out: Apprise (chat, mail, a hundred others), a signed webhook, a comment on the change that failed.

A channel returns when the message was taken, and raises NotSent otherwise; trying again is the outbox's. What a problem
says never holds an address or a token.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from importlib.util import find_spec
from urllib.parse import quote

from sqlalchemy import Engine, insert, select, update

from devops_agent.connect.fetch import Door, NotFetched, check_host
from devops_agent.connect.message import Message
from devops_agent.connect.settings import Hook, Target
from devops_agent.connect.signatures import sign
from devops_agent.connect.vendors.github import REPOSITORY
from devops_agent.errors import AgentError, ConfigError
from devops_agent.jobs.tables import comments, reading
from devops_agent.model import now

CONNECT_SECONDS = 10.0
READ_SECONDS = 15.0
MARK = "<!-- devops-agent {} -->"
"""By which our comment is found again; made with the hook's secret, so that nobody can put another one in its place."""
PAGES = 3
"""Pages of a hundred comments that are looked through for one of ours whose number was lost."""


class NotSent(AgentError):
    """The message was not taken. `again`: trying later may help."""

    code = "not_sent"

    def __init__(self, message: str, again: bool = True, after: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.after = after


def check(target: Target) -> None:
    """Refuse a target that can never work. Raises ConfigError."""
    if target.kind != "apprise":
        return
    if find_spec("apprise") is None:
        raise ConfigError(f"notify.{target.name}: Apprise is not installed; pip install 'devops-agent[notify]'")
    import apprise

    if (
        apprise.Apprise.instantiate(target.url.get_secret_value() if target.url else "", suppress_exceptions=True)
        is None
    ):
        raise ConfigError(f"notify.{target.name}.url: not an address that Apprise knows")


def by_apprise(target: Target, message: Message) -> None:
    """Send through Apprise."""
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # what it logs may hold addresses with their tokens
    kinds = {"resolved": "success", "no_failure": "success", "error": "failure", "unresolved": "failure"}
    asset = apprise.AppriseAsset(app_id="devops-agent", app_desc="devops-agent", async_mode=False)
    sender = apprise.Apprise(asset=asset)
    url = target.url.get_secret_value() if target.url else ""
    if "overflow=" not in url:
        url += ("&" if "?" in url else "?") + "overflow=split"  # what is too long for one message comes in several
    sender.add(url)
    kind = apprise.NotifyType(kinds.get(message.event, "warning"))
    if not sender.notify(body=message.text, title=message.title, notify_type=kind, body_format="text"):
        raise NotSent("Apprise could not deliver it (the receiver is down, slow or refuses)")


def by_webhook(target: Target, message: Message, identity: str) -> None:
    """Post it as JSON, signed as the Standard Webhooks have it. `identity` is the same however often it is tried."""
    import httpx

    stamp = int(now().timestamp())
    kind = "approval_wanted" if message.event == "approval" else message.event
    body = {"type": f"incident.{kind}", "timestamp": now().isoformat(), "data": message.data}
    raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    secret = target.secret.get_secret_value() if target.secret else ""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "devops-agent",
        "webhook-id": identity,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(secret, identity, stamp, raw),
    }
    limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    address = target.url.get_secret_value() if target.url else ""
    try:
        check_host(address)
    except NotFetched as problem:
        raise NotSent(str(problem), again=False) from None
    try:
        with (
            httpx.Client(timeout=limits, follow_redirects=False) as client,
            client.stream("POST", address, content=raw, headers=headers) as answer,
        ):
            status = answer.status_code
            after = answer.headers.get("retry-after", "")
    except httpx.HTTPError as error:
        raise NotSent(f"the receiver could not be reached ({type(error).__name__})") from None
    if not 200 <= status < 300:
        wait = float(after) if after.isascii() and after.isdigit() and len(after) < 6 else None
        raise NotSent(f"the receiver answered {status}", again=status != 410, after=wait)


class Comments:
    """One comment on each change, written once and then changed, however many messages there are about it."""

    def __init__(self, engine: Engine, target: Target, hook: Hook) -> None:
        self.engine = engine
        self.target = target
        self.door = Door(hook, target.token.get_secret_value() if target.token else None)
        self.kind = hook.kind
        self._secret = hook.secrets[0]

    def put(self, job: str, created: float, labels: dict[str, str], message: Message) -> bool:
        """Write or change the comment; False where the incident has no change, or one that was created later speaks
        there."""
        change = _github(labels) if self.kind == "github" else _gitlab(labels)
        if change is None:
            return False
        about = labels.get("github.workflow", "") if self.kind == "github" else ""
        thread = hashlib.sha256(f"{change[0]}\n{about}".encode()).hexdigest()
        if not self._is_newest(thread, job, created):
            return False
        mark = MARK.format(hmac.new(self._secret.encode(), thread.encode(), hashlib.sha256).hexdigest()[:24])
        body = f"{mark}\n{message.markdown}"[:60_000]
        try:
            self._write(change, thread, mark, body)
        except NotFetched as problem:
            raise NotSent(str(problem), again=problem.again, after=problem.after) from None
        return True

    def _write(self, change: tuple[str, str], thread: str, mark: str, body: str) -> None:
        create, edit = change
        known = self._known(thread) or self._lost(create, mark)
        if known:
            try:
                self.door.send("PATCH" if self.kind == "github" else "PUT", f"{edit}/{known}", {"body": body})
            except NotFetched as problem:
                if "answered 404" not in str(problem):
                    raise
                known = None  # somebody deleted it
        if not known:
            made = self.door.send("POST", create, {"body": body})
            if create.endswith("/discussions"):
                known = f"{made['id']}/notes/{made['notes'][0]['id']}"
            else:
                known = str(made["id"])
        self._keep(thread, known)

    def _lost(self, create: str, mark: str) -> str | None:
        """Our comment, where it was written but its number was not kept (killed between)."""
        if create.endswith("/discussions"):
            return None
        for page in range(1, PAGES + 1):
            rows = self.door.json(f"{create}?per_page=100&page={page}")
            for each in rows if isinstance(rows, list) else ():
                if (
                    isinstance(each, dict)
                    and str(each.get("body", "")).startswith(mark)
                    and type(each.get("id")) is int
                ):
                    return str(each["id"])
            if not isinstance(rows, list) or len(rows) < 100:
                return None
        return None

    def _known(self, thread: str) -> str | None:
        mine = (comments.c.target == self.target.name, comments.c.thread == thread)
        with reading(self.engine) as connection:
            return connection.execute(select(comments.c.external).where(*mine)).scalar()

    def _is_newest(self, thread: str, job: str, created: float) -> bool:
        """Whether no younger incident has written there."""
        mine = (comments.c.target == self.target.name, comments.c.thread == thread)
        with self.engine.begin() as connection:
            row = connection.execute(select(comments).where(*mine).with_for_update()).mappings().first()
            if row is None:
                values = {"target": self.target.name, "thread": thread, "job": job, "at": created}
                connection.execute(insert(comments).values(**values))
                return True
            if row["at"] > created:
                return False
            connection.execute(update(comments).where(*mine).values(job=job, at=created))
            return True

    def _keep(self, thread: str, external: str) -> None:
        mine = (comments.c.target == self.target.name, comments.c.thread == thread)
        with self.engine.begin() as connection:
            connection.execute(update(comments).where(*mine).values(external=external))


def _github(labels: dict[str, str]) -> tuple[str, str] | None:
    """Where a comment on this change is made, and where it is changed."""
    repository, sha = labels.get("github.repository", ""), labels.get("github.sha", "")
    if not REPOSITORY.fullmatch(repository) or ".." in repository:
        return None
    if labels.get("github.pull_request", "").isdigit():
        issue = f"repos/{repository}/issues"
        return f"{issue}/{int(labels['github.pull_request'])}/comments", f"{issue}/comments"
    return (f"repos/{repository}/commits/{quote(sha)}/comments", f"repos/{repository}/comments") if sha else None


def _gitlab(labels: dict[str, str]) -> tuple[str, str] | None:
    if not labels.get("gitlab.project", "").isdigit():
        return None
    project = f"api/v4/projects/{int(labels['gitlab.project'])}"
    if labels.get("gitlab.merge_request", "").isdigit():
        notes = f"{project}/merge_requests/{int(labels['gitlab.merge_request'])}/notes"
        return notes, notes
    sha = labels.get("gitlab.sha", "")
    talks = f"{project}/repository/commits/{quote(sha)}/discussions"
    return (talks, talks) if sha else None
