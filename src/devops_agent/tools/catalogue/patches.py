"""Patching a configuration file: one text that stands there once gives way to another, and nothing gets weaker."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from devops_agent.errors import BadArguments, NotAllowed
from devops_agent.inventory import Place
from devops_agent.tools import commands, edits, secrecy, settings
from devops_agent.tools.base import Commands, Host, change

Text = Annotated[str, Field(max_length=4000)]


@change(effect="change", repeatable=True)
def patch_file(host: Host, place: Place, file: str, old: Text, new: Text, service: str | None = None) -> Commands:  # noqa: ARG001 - says on which host the file is
    """Replace a text that stands exactly once in a configuration file of the inventory; a copy of the file is kept.

    Refused where a safeguard or limit would be switched off or taken out, or the file could not be parsed any more.
    """
    _require_sound(host, place, file, old, new)
    planned = commands.planned_edit(host, place, file, "replace", {"old": old, "new": new})
    if planned:
        yield planned


@patch_file.already
def _is_so(host: Host, place: Place, file: str, old: str, new: str) -> bool:
    settings.require_editable(host, place, file)
    text = settings.text_of(host, place.path(file)) or ""
    return bool(new) and new in text and (old in new or old not in text)


def _require_sound(host: Host, place: Place, file: str, old: str, new: str) -> None:
    settings.require_editable(host, place, file)
    text = settings.text_of(host, place.path(file))
    if text is None:
        raise NotAllowed(f"{file} cannot be read as text")
    if any(ord(character) < 32 and character not in "\n\t" for character in new) or "\x7f" in new:
        raise BadArguments("new: control characters in it")
    before = _entries(file, text)
    after = _entries(file, edits.edit("replace", text, {"old": old, "new": new}))
    if before is None:
        return
    if after is None:
        raise NotAllowed(f"{file} could not be parsed any more")
    for key, value in before.items():
        if after.get(key) != value:
            secrecy.require_not_weaker(key, value, after.get(key, ""))
    for key in set(after) - set(before):
        secrecy.require_not_weaker(key, None, after[key])


def _entries(file: str, text: str) -> dict[str, str] | None:
    """The settings of a file, None for one that cannot be parsed."""
    form = edits.form_of(file, text)
    try:
        return dict(edits.FORMS[form].entries(text))
    except (BadArguments, ValueError):
        return None
