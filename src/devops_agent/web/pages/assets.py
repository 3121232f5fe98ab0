"""Style sheets, scripts and icons: addressed by their content, so that browsers keep them for good; sent compressed."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from flask import Response, request

from devops_agent.errors import NotFound
from devops_agent.web.pages.frame import SMALL, blueprint

YEAR = 365 * 86400
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One file: as it is, compressed, and the tag of its content."""

    data: bytes
    packed: bytes
    kind: str
    tag: str


@cache
def assets() -> dict[str, Asset]:
    """All files below `static` that browsers use, by their path."""
    found: dict[str, Asset] = {}
    root = files("devops_agent.web") / "static"
    for folder, prefix in ((root, ""), (root / "vendor", "vendor/")):
        for file in folder.iterdir():
            suffix = "." + file.name.rpartition(".")[2]
            if file.is_file() and suffix in _KINDS:
                data = file.read_bytes()
                packed = gzip.compress(data, 9, mtime=0)
                tag = hashlib.sha256(data).hexdigest()[:12]
                found[prefix + file.name] = Asset(data, packed, _KINDS[suffix], tag)
    return found


@blueprint.app_template_global("asset")
def address(name: str) -> str:
    """Where a file is served: another address when its content is another."""
    return f"/dashboard/static/{assets()[name].tag}/{name}"


@blueprint.get("/static/<tag>/<path:name>")
def static(tag: str, name: str) -> Response:
    """One file. Under the tag of its content it may be kept for ever."""
    asset = assets().get(name)
    if asset is None:
        raise NotFound(f"no file {name!r}")
    response = Response(status=200, mimetype=asset.kind)
    response.set_etag(asset.tag)
    response.vary.add("Accept-Encoding")
    kept = f"public, max-age={YEAR}, immutable" if tag == asset.tag else "no-cache"
    response.headers["Cache-Control"] = kept
    if request.accept_encodings["gzip"] and len(asset.data) > SMALL:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(asset.packed)
    else:
        response.set_data(asset.data)
    response.make_conditional(request)
    return response
