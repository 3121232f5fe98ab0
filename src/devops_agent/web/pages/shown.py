"""How text, times and states are shown: filters of the templates."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from devops_agent.model import now
from devops_agent.web.pages.frame import blueprint

if TYPE_CHECKING:
    from devops_agent.jobs.store import JobRow

LINE_LIMIT = 2000
_STATES = {
    "resolved": ("good", "resolved"),
    "no_failure": ("good", "no failure"),
    "planned": ("calm", "planned"),
    "needs_approval": ("ask", "waits for approval"),
    "needs_person": ("ask", "needs a person"),
    "unresolved": ("bad", "not resolved"),
    "error": ("bad", "error"),
    "decided": ("calm", "decided, goes on"),
    "settling": ("calm", "looking whether it holds"),
    "joined": ("calm", "repeats an open one"),
    "queued": ("calm", "queued"),
    "running": ("calm", "at work"),
}
_CONTROL = (*(code for code in range(32) if code != 9), *range(0x7F, 0xA0))
_DIRECTION = (0x61C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_VISIBLE = {code: f"\\x{code:02x}" for code in _CONTROL} | {code: f"\\u{code:04x}" for code in _DIRECTION}


@blueprint.app_template_filter("shown")
def shown(text: object, limit: int = LINE_LIMIT) -> str:
    """Text of a log or tool: what could steer a display is made visible, and very long text is cut."""
    line = str(text)
    rest = f" … ({len(line) - limit} more characters)" if len(line) > limit else ""
    return line[:limit].translate(_VISIBLE) + rest


@blueprint.app_template_filter("block")
def block(text: object, limit: int = 20_000) -> str:
    """The same for text of several lines."""
    return "\n".join(shown(line) for line in str(text)[:limit].split("\n"))


@blueprint.app_template_filter("moment")
def moment(at: datetime | None) -> str:
    """A time as the page writes it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


@blueprint.app_template_filter("ago")
def ago(at: datetime | None) -> str:
    """How long ago, or in how long."""
    if at is None:
        return ""
    seconds = (now() - at).total_seconds()
    if 0 <= seconds < 5:
        return "just now"
    text = span(int(abs(seconds)))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


@blueprint.app_template_filter("span")
def span(seconds: float) -> str:
    """A length of time in its two largest units where that says more than one."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != whole else f"{whole} s"
    for size, name, below, short in ((86400, "day", 3600, "h"), (3600, "hour", 60, "min"), (60, "minute", 1, "s")):
        if whole >= size:
            count, rest = whole // size, whole % size // below
            more = f" {rest} {short}" if rest and count < 3 and name != "minute" else ""
            return f"{count} {name}{'s' if count != 1 else ''}{more}"
    return ""


@blueprint.app_template_filter("state")
def state(row: JobRow) -> tuple[str, str]:
    """Colour and words for where a job stands."""
    if row.status in ("done", "error"):
        return outcome(row.outcome or row.status)
    if row.waiting == "approval":
        return _STATES["needs_approval"]
    return _STATES.get(row.waiting or row.status, ("calm", f"waits: {row.waiting}"))


@blueprint.app_template_filter("outcome")
def outcome(name: str) -> tuple[str, str]:
    """Colour and words of an outcome."""
    return _STATES.get(name, ("calm", name))


@blueprint.app_template_filter("count")
def count(amount: float, one: str, many: str = "") -> str:
    """`1 plan`, `2,000 plans`."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


@blueprint.app_template_filter("ticks")
def ticks(text: str) -> Markup:
    """Text of ours in which `words` between back-ticks are code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    marked = (Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts))
    return Markup("").join(marked)


@blueprint.app_template_global("moment_now")
def moment_now() -> datetime:
    """This moment."""
    return now()
