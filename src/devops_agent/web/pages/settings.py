"""Keys and settings, for administrators: what is in force, and who may come in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from devops_agent import config
from devops_agent.web import auth
from devops_agent.web.api import backend
from devops_agent.web.pages.frame import blueprint, render

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

_SECRET = re.compile(r"secret|token|password|hooks|targets|notify|smtp|sentry", re.IGNORECASE)


@blueprint.get("/settings")
@auth.needs("admin")
def settings() -> ResponseReturnValue:
    """Every setting, what it is for, and its value, if that is no secret."""
    behind = backend()
    places = sorted(behind.agent.places.items())
    return render("settings.html", rows=rows(behind.settings), places=places, policy=behind.agent.policy)


def rows(settings: config.Settings) -> list[dict[str, Any]]:
    """Name, meaning, value and default of each setting; of what may hold a secret only that it is set."""
    found = []
    for name, field in type(settings).model_fields.items():
        if name == "api_key_configured":
            continue  # found out, not set
        value = getattr(settings, name)
        changed = name in settings.model_fields_set and value != field.get_default(call_default_factory=True)
        shown = settings.url if name == "database_url" else value
        if name == "database_url":
            shown = re.sub(r"://([^:/@]*):[^@]*@", r"://\1:…@", str(shown))
        elif _SECRET.search(name) and value and not isinstance(value, int | float):
            shown = "set"
        found.append(
            {
                "name": config.PREFIX + name.upper(),
                "meaning": field.description or "",
                "value": "" if shown is None or shown == () else str(shown),
                "changed": changed,
            }
        )
    return found
