"""The service's own log: one line for each thing, as text of `key=value` or as JSON, with the ids that it belongs to.

Secrets are masked in every line, whatever library wrote it: exceptions quote what they were given.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from devops_agent import seen

if TYPE_CHECKING:
    from devops_agent.config import Settings

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """Writes a record as one line; `as_json` or as `key=value` behind the message."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self.as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its secrets masked."""
        from devops_agent.distil.redact import redact

        fields: dict[str, Any] = {**seen.ids(), **{k: v for k, v in vars(record).items() if k not in _PLAIN}}
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        error = self.formatException(record.exc_info) if record.exc_info else ""
        said = redact(record.getMessage())[0]
        if self.as_json:
            line = {"time": at, "level": record.levelname.lower(), "logger": record.name, "message": said}
            line |= {name: _masked(value) for name, value in fields.items() if name not in line}
            if error:
                line["exception"] = redact(error)[0]
            return json.dumps(line, default=str, ensure_ascii=False)
        pairs = "".join(f" {name}={_quoted(_masked(value))}" for name, value in fields.items())
        trouble = f"\n{redact(error)[0]}" if error else ""
        return f"{at} {record.levelname.lower()} {record.name}: {said}{pairs}{trouble}"


def set_up(settings: Settings) -> None:
    """Have everything in this process that logs log so, to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(Lines(settings.log_format == "json"))
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(settings.log_level.upper())
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def gunicorn_logger() -> type[Any]:
    """gunicorn's logger without handlers and formats of its own: its lines are lines like all others."""
    from gunicorn.glogging import Logger  # type: ignore[import-untyped]

    class Same(Logger):  # type: ignore[misc]
        """What gunicorn says goes where everything goes."""

        def setup(self, cfg: Any) -> None:  # noqa: ARG002 (gunicorn's)
            self.error_log.handlers.clear()
            self.error_log.propagate = True
            self.error_log.setLevel(logging.getLogger().level)
            self.access_log.handlers.clear()

    return Same


def _masked(value: Any) -> Any:
    from devops_agent.distil.redact import redact

    return value if isinstance(value, int | float | bool | None) else redact(str(value))[0]


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(each in text for each in ' "=\n\t') else text
