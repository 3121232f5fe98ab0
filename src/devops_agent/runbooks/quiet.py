"""Logs of what went well, shipped with the package: no runbook may name a cause on one of them.

They are those of the project's tests (`tests/cases/quiet`); `python -m devops_agent.runbooks.quiet FOLDER` packs them
anew.
"""

from __future__ import annotations

import functools
import gzip
import json
import sys
from pathlib import Path

FILE = Path(__file__).with_name("quiet.json.gz")


@functools.cache
def quiet_logs() -> dict[str, str]:
    """All of them, by name."""
    logs: dict[str, str] = json.loads(gzip.decompress(FILE.read_bytes()))
    return logs


def packed(folder: Path) -> bytes:
    """The logs of a folder as they are shipped: the same bytes for the same logs."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    logs = {str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace") for path in files}
    return gzip.compress(json.dumps(logs, ensure_ascii=False, sort_keys=True).encode(), 9, mtime=0)


if __name__ == "__main__":
    FILE.write_bytes(packed(Path(sys.argv[1])))
