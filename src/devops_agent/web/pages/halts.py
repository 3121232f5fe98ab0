"""The kill switch on the page: stop everything, and go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import redirect, url_for

from devops_agent.web import auth, halting
from devops_agent.web.pages.frame import blueprint, check_form, field, who

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.post("/halts")
@auth.needs("responder")
def stop_everything() -> ResponseReturnValue:
    """Let nothing be changed from now on."""
    check_form()
    halting.halt(who(), field("reason", 1000), field("place", 200) or None)
    return redirect(url_for("pages.dashboard"), 303)


@blueprint.post("/halts/<halt_id>/end")
@auth.needs("approver")
def go_on(halt_id: str) -> ResponseReturnValue:
    """End a halt."""
    check_form()
    halting.go_on(who(), halt_id)
    return redirect(url_for("pages.dashboard"), 303)
