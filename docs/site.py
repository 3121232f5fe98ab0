"""For mkdocs: what a document links to outside of `docs/` is no page of the site; its path is shown instead."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<path>(?:\.\./)+[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called for every page; links between documents stay as they are."""
    depth = page.file.src_uri.count("/") + 1

    def shown(found: re.Match[str]) -> str:
        if found["path"].count("../") < depth:
            return found[0]
        path = found["path"].replace("../", "").partition("#")[0]
        return found["text"] if path in found["text"] else f"{found['text']} (`{path}`)"

    return OUTSIDE.sub(shown, markdown)
