"""What API v1 takes and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from devops_agent.model import Approval, ApprovalRequest, Plan
from devops_agent.web.auth import Role
from devops_agent.web.v1.fields import (
    ID,
    Asked,
    Cursor,
    Fingerprint,
    Labels,
    Limit,
    Log,
    Moment,
    Outcome,
    PlaceName,
    Reason,
    Status,
    Title,
    Whole,
)
from devops_agent.web.v1.operations import Body, Query


class Answer(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(extra="forbid")


class NewIncident(Body):
    """A log to work on."""

    log: Log
    title: Title = ""
    labels: Annotated[Labels, Field(max_length=50)] = {}
    place: PlaceName | None = None
    dry_run: Annotated[bool, Field(description="plan, and do nothing")] = False


class NewIncidents(Body):
    """Many logs, one job each; all are taken, or none."""

    incidents: Annotated[list[NewIncident], Field(min_length=1, max_length=1000)]


class About(Query):
    """What a log that is sent as it is does not say itself."""

    title: Title = ""
    place: PlaceName | None = None


class Job(Answer):
    """An incident and the work on it; they share their id."""

    id: str
    batch: str
    number: int
    status: Status
    waiting: str | None = Field(description="for what: `approval`, `settling`, ...")
    outcome: Outcome | None
    title: str
    cause: str | None
    progress: int = Field(ge=0, le=100)
    created: datetime
    started: datetime | None
    finished: datetime | None
    error: str | None
    joined: str | None = Field(description="the open incident that this one repeats, whose answer it has")
    repeats: int = Field(description="how often this one was repeated while it was open")


class Accepted(Answer):
    """What was queued."""

    batch: str
    incidents: list[Job]


class Batch(Answer):
    """What one request submitted, as it is now."""

    id: str
    created: datetime
    answered: bool
    progress: int = Field(ge=0, le=100)
    jobs: list[Job]


class Incidents(Answer):
    """Some of the incidents that were asked for, newest first."""

    items: list[Job]
    next: str | None = Field(description="`cursor` of the next page; null where this is the last")


class IncidentQuery(Query):
    """Which incidents; all that is given must fit."""

    q: Annotated[
        str, Field(max_length=500, description="words that all occur; from three letters on as beginnings")
    ] = ""
    status: Literal["queued", "running", "waiting", "approval", "done", "error"] | None = Field(
        None, description="`approval`: waits for a decision"
    )
    outcome: Outcome | None = None
    cause: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    place: PlaceName | None = None
    label: Annotated[str, Field(pattern=r"^[^=]{1,200}=[^=]{0,1000}$", description="`name=value`")] | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class Because(Body):
    """Why, and who says so."""

    reason: Reason = ""
    by: Annotated[str, Field(max_length=200, description="who says so; counts only where no keys are used")] = ""


class Decision(Because):
    """A decision about the plan that a job waits with."""

    fingerprint: Fingerprint | None = None


class Cause(Because):
    """What the cause really was."""

    cause: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,79}$")]


class Verdict(Answer):
    """What was said about an answer."""

    job: str
    cause: str
    answered: str
    confirmed: bool
    by: str


class WaitingPlan(Answer):
    """A plan that waits for a decision."""

    job: str
    title: str
    cause: str | None
    plan: Plan
    request: ApprovalRequest


class WaitingPlans(Answer):
    """All plans that wait, oldest first."""

    items: list[WaitingPlan]


class JobPlan(Answer):
    """The newest plan of a job, and what was decided about it."""

    job: str
    plan: Plan
    request: ApprovalRequest | None
    approval: Approval | None


class Decided(Answer):
    """A decision, as it is kept."""

    job: str
    approval: Approval


class Who(Answer):
    """Who calls."""

    name: str
    role: Role
    places: list[str] | None = Field(description="what the key is for; null for all")
    keys: bool = Field(description="whether the service asks for keys")


class RunbookQuery(Query):
    """Which runbooks."""

    cause: Annotated[str, Field(min_length=1, max_length=80)] | None = None


class RunbookLine(Answer):
    """A runbook as lists show it."""

    id: str
    cause: str
    title: str


class Runbooks(Answer):
    """The runbooks in force."""

    items: list[RunbookLine]


class Runbook(RunbookLine):
    """A runbook; `content` as in its file (docs/runbook.schema.json)."""

    content: dict[str, Any]


class Tool(Answer):
    """A probe or a change."""

    name: str
    kind: Literal["probe", "change"]
    effect: Literal["read", "change", "destroy"]
    summary: str
    parameters: list[str]


class Tools(Answer):
    """All tools."""

    items: list[Tool]


class PlaceLine(Answer):
    """A place of the inventory."""

    name: str
    labels: dict[str, str]


class Places(Answer):
    """Places of the inventory."""

    items: list[PlaceLine]


class Statistics(BaseModel):
    """Counts over everything that was answered."""

    model_config = ConfigDict(extra="allow")

    answers: int
    jobs_by_outcome: dict[str, int]
    fails_most: list[dict[str, Any]]
    stays_unknown: list[dict[str, Any]]
    never_fired: list[str]


class AuditQuery(Query):
    """Which entries."""

    job: Annotated[str, Field(pattern=ID)] | None = None
    after: Annotated[int, Field(ge=0, le=2**62, description="only entries with a greater number"), Asked] = 0
    limit: Annotated[int, Field(ge=1, le=1000, description="most entries in the answer"), Asked] = 100


class AuditEntry(Answer):
    """One line of the trail."""

    id: int
    at: datetime
    job: str
    event: str
    actor: str
    data: dict[str, Any]
    before: str
    hash: str


class AuditTrail(Answer):
    """Some of the trail."""

    items: list[AuditEntry]
    last: int


class Integrity(Answer):
    """Whether the trail is as it was written."""

    intact: bool
    problems: list[str]


class EventQuery(Query):
    """Which events."""

    after: Annotated[int, Field(ge=0, le=2**62, description="only events with a greater number"), Asked] | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="most events in an answer that is no stream"), Asked] = 500


class EventLine(Answer):
    """One thing that happened."""

    id: int
    job: str
    kind: str
    data: dict[str, Any]
    at: datetime


class Events(Answer):
    """Events in order; `last` given as `after` brings those that follow."""

    items: list[EventLine]
    last: int


class NewKey(Body):
    """Whose key, and for what."""

    name: Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?$", description="whose it is")]
    role: Role = "viewer"
    places: Annotated[list[PlaceName], Field(max_length=100, description="only for these; empty for all")] = []
    expires_days: Annotated[int, Field(ge=1, le=3650), Whole] | None = None


class Rotation(Body):
    """How long the old key goes on to open."""

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86400), Whole] = 3600


class Key(Answer):
    """A key without what opens."""

    id: str
    name: str
    role: Role
    places: list[str]
    valid: bool
    created: datetime
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    used: datetime | None
    replaces: str | None


class NewKeyMade(Key):
    """A new key; `key` is what opens, and is told this once."""

    key: str


class Keys(Answer):
    """All keys."""

    items: list[Key]


class FieldProblem(Answer):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). `code` is for programs, `detail` for people; `errors` names fields."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem]
    request_id: str | None
