"""Jenkins: the Notification plugin's JSON. COMPLETED and FINALIZED speak of one build; the first that comes counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from devops_agent.connect.settings import Hook
from devops_agent.connect.signal import TEXT, Fetch, Heard, Signal
from devops_agent.connect.vendors import reading
from devops_agent.errors import RequestError

_BUILD = re.compile(r"(?:(?:view|job)/[^/?#\\\s]{1,200}/)+\d{1,9}/")
_FAILING = frozenset({"FAILURE", "UNSTABLE"})


def hear(hook: Hook, headers: Mapping[str, str], body: Any) -> Heard:  # noqa: ARG001 (all parsers are called alike)
    """The signal of a build that ended."""
    said = reading.table(body, "body")
    build = reading.table(said.get("build"), "build")
    phase, status = reading.text(build.get("phase")).upper(), reading.text(build.get("status")).upper()
    event = f"{phase}.{status}".lower()
    if phase not in ("COMPLETED", "FINALIZED"):
        return Heard(event, ignored="the build has not ended")
    if status != "SUCCESS" and status not in _FAILING:
        return Heard(event, ignored=f"a build that is {status or 'without status'} opens and closes nothing")
    number = reading.number(build.get("number"), "build.number")
    path = _path(build.get("url"))
    name = reading.text(said.get("display_name")) or reading.name_of(said.get("name"), "name")
    series = path.rstrip("/").rpartition("/")[0]
    at = reading.moment(build.get("timestamp"))
    if status == "SUCCESS":
        return Heard(event, (Signal(state="resolved", key=path, at=at, series=series, title=f"{name} #{number}"),))
    scm = reading.inner(build, "scm")
    labels = {
        "jenkins.job": name,
        "jenkins.build": str(number),
        "jenkins.branch": reading.text(scm.get("branch")),
        "jenkins.commit": reading.text(scm.get("commit"), 64),
        "jenkins.url": reading.text(build.get("full_url"), 500),
    }
    sent = build.get("log")
    lines = [
        f"ERROR build {number} of {name} ended with {status}",
        reading.clean(sent) if isinstance(sent, str) else "",
    ]
    signal = Signal(
        state="firing",
        key=path,
        at=at,
        series=series,
        title=f"{name} #{number}: {status.lower()}",
        text="\n".join(filter(None, lines))[-TEXT:],
        labels={name: value for name, value in labels.items() if value},
        fetch=Fetch(way="jenkins_console", ids={"path": path}),
    )
    return Heard(event, (signal,))


def _path(value: Any) -> str:
    """`job/<name>/<number>/` below the configured address: whatever stands in `full_url`, no other host is asked."""
    path = reading.text(value, 2000).lstrip("/")
    parts = [unquote(each) for each in path.split("/")]
    if not _BUILD.fullmatch(path) or any(each in (".", "..") or "/" in each or "\\" in each for each in parts):
        raise RequestError("build.url: missing, or not job/NAME/NUMBER/")
    return path
