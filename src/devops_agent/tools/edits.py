"""Editors: pure functions from text to text that change one setting where it lives, keeping form and comments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devops_agent.errors import BadArguments

Editor = Callable[..., str]
EDITORS: dict[str, Editor] = {}


def edit(editor: str, text: str, args: dict[str, Any]) -> str:
    """The text after an edit; raises BadArguments where there is no such editor or its arguments do not fit."""
    if editor not in EDITORS:
        raise BadArguments(f"no editor {editor!r} (known: {', '.join(sorted(EDITORS))})")
    return EDITORS[editor](text, **args)
